"""Alertmanager as a process, with the repository's routes; optional, as Prometheus is."""

import json
import shutil
from pathlib import Path

from testbed.engines.native.ports import Ports
from testbed.engines.native.process import Command

PROGRAM = "prometheus-alertmanager"
"""As Debian names it, since another package there is called alertmanager."""


_CREDENTIALS = "/etc/alertmanager/secrets/token"


def prepare(directory: Path, config: Path, ports: Ports, token_file: Path) -> Command:
    """Write the configuration with local addresses and return how to start Alertmanager with it.

    Args:
        directory: working directory; keeps silences and what was sent.
        config: the repository's `prometheus/` directory.
        ports: where the parts listen.
        token_file: holds what the console asks for.
    """
    text = (config / "alertmanager.yml").read_text()
    rendered = directory / "alertmanager.yml"
    text = text.replace("http://console:8088", f"http://127.0.0.1:{ports.http('console')}")
    rendered.write_text(text.replace(_CREDENTIALS, json.dumps(str(token_file))))
    return Command(
        (
            shutil.which(PROGRAM) or PROGRAM,
            f"--config.file={rendered}",
            f"--storage.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{ports.http('alertmanager')}",
            "--cluster.listen-address=",  # one is enough: no gossip, no second port
        ),
        cwd=directory,
    )
