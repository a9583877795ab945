"""Which firmware devices run, kept over restarts of the process: one small file for each updated device."""

from contextlib import suppress
from pathlib import Path

from iiot.telemetry import get_logger

log = get_logger(__name__)


class FirmwareStore:
    """The installed versions, by device id, below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def version(self, device_id: str) -> str | None:
        """The version that a device was updated to, None while it runs what it was made with."""
        with suppress(OSError, UnicodeError):
            return (self._directory / device_id).read_text(encoding="utf-8") or None
        return None

    def save(self, device_id: str, version: str) -> None:
        """Note an installed version; what cannot be written is logged, and lost with the process."""
        file = self._directory / device_id
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            written = file.with_name(f".{device_id}")
            written.write_text(version, encoding="utf-8")
            written.replace(file)
        except OSError as exc:
            log.warning("firmware_version_not_kept", device=device_id, reason=str(exc))
