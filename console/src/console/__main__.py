"""Entry point: `python -m console`."""

from console.app import run_console
from console.settings import Settings
from iiot.service import run

if __name__ == "__main__":
    run("console", Settings, run_console)
