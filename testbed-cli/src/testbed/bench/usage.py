"""What processes take of the machine, from `/proc`: processor time, kernel's included, and memory."""

import os
from collections.abc import Mapping
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken since its start, in s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of(pids: Mapping[str, int]) -> dict[str, float]:
    """Processor time of each part so far, in s."""
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


def microseconds_per(count: int, before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Processor time of each part between two readings, in µs for each of `count` messages."""
    return {name: round((after[name] - before[name]) / max(count, 1) * 1e6, 2) for name in before}


def percent_of(seconds: float, before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Processor time of each part between two readings, as a share of `seconds`; 100 is one core."""
    return {name: round((after[name] - before[name]) / seconds * 100, 1) for name in before}


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
