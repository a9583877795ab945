"""Prometheus as a process, from the repository's configuration with its names replaced by local addresses."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from testbed.engines.native.ports import BRIDGE, Ports, bridge_names
from testbed.engines.native.process import Command

RETENTION = "15d"


def render(
    config: dict[str, Any], directory: Path, ports: Ports, absent: Collection[str] = (), bridges: int = 1
) -> dict[str, Any]:
    """The configuration for a machine without container names.

    Jobs of parts that native mode does not have (the Redpanda broker itself) are left out.

    Args:
        config: `prometheus/prometheus.yml`, whose jobs find their targets by DNS name and port.
        directory: where that file lies; paths of rule files are relative to it.
        ports: where the parts listen here.
        absent: parts that do not run here.
        bridges: how many there are.
    """
    wanted = (job for job in config["scrape_configs"] if job["job_name"] not in absent)
    jobs = [job for job in (_local_job(job, ports, bridges) for job in wanted) if job]
    rules = [str((directory / pattern).resolve()) for pattern in config.get("rule_files", [])]
    rendered = {**config, "scrape_configs": jobs, "rule_files": rules}
    if "alertmanager" in absent:
        del rendered["alerting"]
    else:
        here = {"static_configs": [{"targets": [f"127.0.0.1:{ports.http('alertmanager')}"]}]}
        rendered["alerting"] = {"alertmanagers": [here]}
    return rendered


def _local_job(job: dict[str, Any], ports: Ports, bridges: int) -> dict[str, Any] | None:
    names = [name for discovery in job.get("dns_sd_configs", []) for name in discovery["names"]]
    if not names:
        names = [job["job_name"]]
    if names == [BRIDGE]:
        names = list(bridge_names(bridges))
    targets = [f"127.0.0.1:{ports.http(name)}" for name in names if ports.of(name)]
    if not targets:
        return None
    local = {key: value for key, value in job.items() if key != "dns_sd_configs"}
    return {**local, "static_configs": [{"targets": targets}]}


def prepare(
    directory: Path, config: Path, ports: Ports, absent: Collection[str] = (), bridges: int = 1
) -> Command:
    """Write the rendered configuration and return how to start Prometheus with it.

    Args:
        directory: working directory; keeps the data.
        config: the repository's `prometheus/` directory.
        ports: where the parts listen.
        absent: parts that do not run.
        bridges: how many there are.
    """
    document = yaml.safe_load((config / "prometheus.yml").read_text())
    rendered = directory / "prometheus.yml"
    rendered.write_text(yaml.safe_dump(render(document, config, ports, absent, bridges), sort_keys=False))
    return Command(
        (
            shutil.which("prometheus") or "prometheus",
            f"--config.file={rendered}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address=127.0.0.1:{ports.http('prometheus')}",
        ),
        cwd=directory,
    )
