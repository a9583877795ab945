"""Fuzz one target in its own process: `python -m fuzz.one TARGET [options and directories for libFuzzer]`."""

import sys

import atheris

_INSTRUMENTED = ["iiot", "mqtt_redpanda_bridge", "console", "device_simulator", "testbed"]

with atheris.instrument_imports(include=_INSTRUMENTED):
    from fuzz.targets import target


def main() -> None:
    """Run until libFuzzer's limits are reached or a fault is found; the exit code is libFuzzer's."""
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], target(name))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
