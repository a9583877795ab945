"""Time from the system."""

import time


class SystemClock:
    """The system's monotonic and wall clocks."""

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """Ms since 1970, UTC."""
        return time.time_ns() // 1_000_000
