"""Grafana as a process, with the repository's provisioning; used only when it is installed already."""

import shutil
from pathlib import Path

from testbed.engines.native.ports import Ports
from testbed.engines.native.process import Command

PROGRAM = "grafana-server"
_HOME = Path("/usr/share/grafana")


def prepare(directory: Path, config: Path, ports: Ports) -> Command:
    """Copy the provisioning with local addresses and return how to start Grafana with it.

    Args:
        directory: working directory; keeps the data.
        config: the repository's `grafana/` directory.
        ports: where the parts listen.
    """
    provisioning = directory / "provisioning"
    shutil.copytree(config / "provisioning", provisioning, dirs_exist_ok=True)
    local = f"http://127.0.0.1:{ports.http('prometheus')}"
    dashboards = str((config / "dashboards").resolve())
    for file in provisioning.rglob("*.y*ml"):
        text = file.read_text().replace("http://prometheus:9090", local)
        file.write_text(text.replace("/etc/grafana/dashboards", dashboards))
    environment = {
        "GF_PATHS_DATA": str(directory / "data"),
        "GF_PATHS_PROVISIONING": str(provisioning),
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(ports.http("grafana")),
        "GF_SECURITY_ADMIN_PASSWORD": "admin",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
    }
    return Command((PROGRAM, "--homepath", str(_HOME)), directory, environment)
