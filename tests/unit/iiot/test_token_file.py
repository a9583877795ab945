import pytest

from iiot.errors import SettingsError
from iiot.token_file import ensure_token, read_token


def test_a_token_is_made_once_for_its_owner_alone(tmp_path):
    file = tmp_path / "alerts" / "token"
    ensure_token(file)
    token = read_token("X", file)
    assert (len(token), file.stat().st_mode & 0o777) == (64, 0o600)
    ensure_token(file, 0o640)
    assert (read_token("X", file), file.stat().st_mode & 0o777) == (token, 0o640)
    assert [entry.name for entry in file.parent.iterdir()] == ["token"]


def test_an_empty_file_is_filled(tmp_path):
    (tmp_path / "token").touch()
    ensure_token(tmp_path / "token")
    assert len(read_token("X", tmp_path / "token")) == 64


@pytest.mark.parametrize(
    "content", [b"", b"short", b"\xff" * 20, b"a b" * 10, b"x" * 2000, b"x" * 20 + b"\n" + b"y" * 20]
)
def test_what_is_no_token_stops_the_service(tmp_path, content):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(SettingsError, match="ALERTS_TOKEN_FILE="):
        read_token("ALERTS_TOKEN_FILE", tmp_path / "token")
