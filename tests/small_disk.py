"""A small file system of a server's own, which a test may fill: a tmpfs that only this server sees."""

import os
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

ROOT = os.geteuid() == 0
BLOCK = bytes(4096)
NAMESPACES = ("--mount",) if ROOT else ("--user", "--mount")
SCRIPT = """
cp -a "$1" "$1.before" &&
mount -t tmpfs -o size="$2" tmpfs "$1" && cp -a "$1.before/." "$1" && echo ready && exec cat
"""


class SmallDisk:
    """Takes the place of `directory`, with what is in it, for commands that go through `command`.

    The tmpfs lives in a mount namespace that a process of ours keeps, over restarts of the server; no
    privilege is needed, and nothing of it stays behind.

    Attributes:
        path: the directory as it is on the disk.
    """

    def __init__(self, directory, megabytes):
        self._directory = directory
        self._size = f"{megabytes}m"

    def __enter__(self):
        directory = str(self._directory)
        map_root = () if ROOT else ("--map-root-user",)
        unshare = ("unshare", *NAMESPACES, *map_root, "--propagation", "private")
        self._keeper = subprocess.Popen(
            (*unshare, "sh", "-c", SCRIPT, "sh", directory, self._size),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._keeper.stdout.readline() == b"ready\n", "the small disk could not be mounted"
        self.path = Path(f"/proc/{self._keeper.pid}/root{directory}")
        return self

    def __exit__(self, *_):
        self._keeper.communicate(timeout=10)

    def command(self, command):
        """The command, run where the disk is."""
        credentials = () if ROOT else ("--preserve-credentials",)
        nsenter = ("nsenter", f"--target={self._keeper.pid}", *NAMESPACES, *credentials)
        # Entering a mount namespace leads to its root directory.
        inside = ("sh", "-c", 'cd "$0" && exec "$@"', str(command.cwd))
        return replace(command, argv=(*nsenter, *inside, *command.argv))

    def fill(self):
        """Take all room there is."""
        with suppress(OSError), (self.path / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(BLOCK):
                pass

    def free(self):
        (self.path / "ballast").unlink()
