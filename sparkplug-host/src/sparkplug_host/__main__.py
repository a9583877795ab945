"""Entry point: `python -m sparkplug_host`."""

from iiot.service import run
from sparkplug_host.app import run_host
from sparkplug_host.settings import Settings

if __name__ == "__main__":
    run("sparkplug-host", Settings, run_host)
