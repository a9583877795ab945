"""Entry point: `python -m device_simulator`."""

from device_simulator.fleet import simulate
from device_simulator.settings import SimulatorSettings
from iiot.service import run

if __name__ == "__main__":
    run("device-simulator", SimulatorSettings, simulate)
