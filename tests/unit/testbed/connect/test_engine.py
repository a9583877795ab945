from pathlib import Path

import pytest

from testbed.connect import engine
from testbed.connect.settings import ConnectSettings


def make_program(directory, name):
    file = directory / name
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return str(file)


@pytest.fixture
def no_home(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")


def test_redpanda_connect_is_preferred(tmp_path, no_home):
    make_program(tmp_path, "rpk")
    program = make_program(tmp_path, "redpanda-connect")
    assert engine.find_program(str(tmp_path)) == [program, "run"]


def test_rpk_is_used_only_with_its_plugin_because_it_would_download_one(tmp_path, no_home):
    rpk = make_program(tmp_path, "rpk")
    assert engine.find_program(str(tmp_path)) is None
    make_program(tmp_path, engine.RPK_PLUGIN)
    assert engine.find_program(str(tmp_path)) == [rpk, "connect", "run"]


def test_without_either_there_is_no_program(tmp_path, no_home):
    assert engine.find_program(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("http", "websocket"), [("http://a:8080", "ws://a:8080"), ("https://a:8443", "wss://a:8443")]
)
def test_the_websocket_address_follows_from_the_server_s(http, websocket):
    assert ConnectSettings(lwm2m_server_url=http).variables()["LWM2M_SERVER_WS_URL"] == websocket
