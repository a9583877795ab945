"""Write the dashboards, or check that what is committed is what this code makes."""

import argparse
import sys
from pathlib import Path

from testbed.dashboards import devices, flow, health, lwm2m_http, redpanda

BOARDS = (flow.build, lwm2m_http.overview, lwm2m_http.analysis, redpanda.build, devices.build, health.build)
DIRECTORY = Path(__file__).resolve().parents[4] / "grafana" / "dashboards"


def main() -> int:
    """0 when every file is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail on a difference")
    check = parser.parse_args().check
    wanted = {f"{board.uid}.json": board.json() for board in (build() for build in BOARDS)}
    there = {file.name: file.read_text() for file in DIRECTORY.glob("*.json")}
    different = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    for name in different:
        print(f"{name} differs from the code" if check else f"wrote {name}")  # noqa: T201 - it is a command
        if not check:
            (DIRECTORY / name).unlink(missing_ok=True)
            if name in wanted:
                (DIRECTORY / name).write_text(wanted[name])
    if check and different:
        print("run: python -m testbed.dashboards")  # noqa: T201
    return 1 if check and different else 0


if __name__ == "__main__":
    sys.exit(main())
