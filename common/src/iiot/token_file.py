"""Files that hold one bearer token."""

import os
import re
import secrets
from pathlib import Path
from typing import Final

from iiot.errors import SettingsError

ALLOWED: Final = "one line of 16 to 512 letters, digits and . _ ~ -"
# What a URL takes as it is: clients that can set no header put the token there.
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,512}", re.ASCII)
_LONGEST: Final = 1024


def read_token(variable: str, file: Path) -> str:
    """The token in `file`.

    Args:
        variable: the setting that names the file, for errors.
        file: where it is.

    Raises:
        SettingsError: it cannot be read, or holds no token.
    """
    try:
        with file.open("rb") as opened:
            token = opened.read(_LONGEST).decode().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError([f"{variable}={str(file)!r}: cannot be read: {exc}"]) from exc
    if not _TOKEN.fullmatch(token):
        raise SettingsError([f"{variable}={str(file)!r}: must hold {ALLOWED}"])
    return token


def ensure_token(file: Path, mode: int = 0o600) -> None:
    """Make a random token, unless the file is there.

    Args:
        file: where; its directory is made when missing.
        mode: who may read it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.stat().st_size:
        file.chmod(mode)
        return
    # Written aside and renamed: a reader sees all of it or nothing.
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as opened:
        os.fchmod(descriptor, mode)
        opened.write(secrets.token_hex(32))
    aside.replace(file)
