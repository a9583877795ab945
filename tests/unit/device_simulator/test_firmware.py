import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_simulator.firmware import Firmware, FirmwarePlan, NotAllowedError, Result, State
from device_simulator.firmware_package import PackageReader, read_package

URI = "https://files.example/fw.bin"


def firmware(**plan):
    return Firmware("1.0.0", "SimDevice-x", FirmwarePlan(**plan))


def packed(content=b"code", **header):
    return json.dumps(header).encode() + b"\n" + content


GOOD = packed(name="app", version="2.0", sha256=hashlib.sha256(b"code").hexdigest(), model="SimDevice-x")


def downloaded(package=GOOD, **plan):
    """A firmware that was pushed a package at 0 s and is asked again at 2 s."""
    fw = firmware(**plan)
    fw.write_package(package, 0)
    fw.tick(2)
    return fw


def test_a_push_goes_through_all_states_to_a_restart_with_the_new_version():
    fw = firmware()
    fw.write_package(GOOD, 0)
    assert (fw.state, fw.result, fw.busy) == (State.DOWNLOADING, Result.INITIAL, True)
    assert not fw.tick(1.9)
    assert fw.state is State.DOWNLOADING
    fw.tick(2)
    assert (fw.state, fw.package_name, fw.package_version, fw.busy) == (State.DOWNLOADED, "app", "2.0", False)
    fw.execute_update(10)
    assert (fw.state, fw.version, fw.changed_at) == (State.UPDATING, "1.0.0", 10)
    assert not fw.tick(12.9)
    assert fw.tick(13)
    assert (fw.state, fw.result, fw.version, fw.busy) == (State.IDLE, Result.SUCCESS, "2.0", False)
    fw.write_package(GOOD, 20)
    assert fw.result is Result.INITIAL


def test_a_pull_is_handed_out_once_and_ends_when_its_package_is_there():
    fw = firmware(download=5)
    fw.write_uri(URI, 0)
    assert (fw.start_download(), fw.start_download(), fw.uri) == (URI, None, URI)
    fw.tick(100)
    assert fw.state is State.DOWNLOADING
    fw.downloaded(read_package(b"anything"), 100)
    assert (fw.state, fw.package_version) == (State.DOWNLOADED, hashlib.sha256(b"anything").hexdigest()[:8])


@pytest.mark.parametrize(
    ("uri", "result"),
    [
        ("coap://host/fw", Result.PROTOCOL),
        ("ftp://host/fw", Result.PROTOCOL),
        ("coap:", Result.PROTOCOL),
        ("COAPS+TCP://host/fw", Result.PROTOCOL),
        ("coap://host:99999/", Result.PROTOCOL),
        ("http:", Result.INVALID_URI),
        ("", Result.INITIAL),
        ("nowhere", Result.INVALID_URI),
        ("http://", Result.INVALID_URI),
        ("http://[::1", Result.INVALID_URI),
        ("http://host:99999/", Result.INVALID_URI),
    ],
)
def test_a_uri_that_cannot_be_pulled_ends_at_once(uri, result):
    fw = firmware()
    fw.write_uri(uri, 0)
    assert (fw.state, fw.result, fw.start_download()) == (State.IDLE, result, None)


@pytest.mark.parametrize(
    ("package", "plan", "result"),
    [
        (packed(sha256="00"), {}, Result.INTEGRITY),
        (packed(model="SimDevice-other"), {}, Result.PACKAGE_TYPE),
        (b"x" * 11, {"flash": 10}, Result.NO_FLASH),
        (GOOD, {"result": "no-flash"}, Result.NO_FLASH),
        (GOOD, {"result": "no-memory"}, Result.NO_MEMORY),
        (GOOD, {"result": "connection-lost"}, Result.CONNECTION_LOST),
        (GOOD, {"result": "integrity"}, Result.INTEGRITY),
        (GOOD, {"result": "package-type"}, Result.PACKAGE_TYPE),
    ],
)
def test_failures_of_a_download(package, plan, result):
    fw = downloaded(package, **plan)
    assert (fw.state, fw.result) == (State.IDLE, result)


@pytest.mark.parametrize("outcome", ["invalid-uri", "protocol"])
def test_failures_of_a_uri_can_be_chosen(outcome):
    fw = firmware(result=outcome)
    fw.write_uri(URI, 0)
    assert (fw.state, fw.result.name) == (State.IDLE, outcome.upper().replace("-", "_"))


def test_a_failed_installation_keeps_the_old_version():
    fw = downloaded(result="update-failed")
    fw.execute_update(2)
    assert not fw.tick(5)
    assert (fw.state, fw.result, fw.version) == (State.IDLE, Result.UPDATE_FAILED, "1.0.0")


def test_a_lost_download_is_told():
    fw = firmware(download=0)
    fw.write_uri(URI, 0)
    fw.downloaded(Result.CONNECTION_LOST, 1)
    assert (fw.state, fw.result, fw.uri) == (State.IDLE, Result.CONNECTION_LOST, "")


def test_cancel_works_until_the_installation_begins():
    fw = firmware()
    with pytest.raises(NotAllowedError):
        fw.cancel(0)
    fw.write_uri(URI, 0)
    fw.cancel(1)
    assert (fw.state, fw.result, fw.start_download()) == (State.IDLE, Result.CANCELLED, None)
    fw.downloaded(read_package(GOOD), 2)
    assert fw.state is State.IDLE
    fw = downloaded()
    fw.execute_update(3)
    with pytest.raises(NotAllowedError):
        fw.cancel(4)
    with pytest.raises(NotAllowedError):
        fw.write_uri("", 4)


@pytest.mark.parametrize("empty", [b"", b"\0"])
def test_an_empty_package_or_uri_gives_up_what_was_there(empty):
    fw = downloaded()
    fw.write_package(empty, 3)
    assert (fw.state, fw.result) == (State.IDLE, Result.INITIAL)
    fw.write_uri(URI, 4)
    fw.write_uri("", 5)
    assert (fw.state, fw.result, fw.uri) == (State.IDLE, Result.INITIAL, "")


def test_what_the_state_does_not_allow_changes_nothing():
    fw = firmware()
    with pytest.raises(NotAllowedError):
        fw.execute_update(0)
    fw.write_package(GOOD, 0)
    for request in (lambda: fw.write_package(GOOD, 1), lambda: fw.write_uri(URI, 1)):
        with pytest.raises(NotAllowedError):
            request()
    fw.tick(2)
    assert fw.state is State.DOWNLOADED


def test_a_deferred_update_installs_when_its_time_has_come():
    fw = downloaded(defer=100)
    fw.max_defer = 30
    fw.execute_update(10)
    assert (fw.state, fw.result, fw.busy) == (State.DOWNLOADED, Result.DEFERRED, True)
    fw.tick(39.9)
    assert fw.state is State.DOWNLOADED
    fw.tick(40)
    assert (fw.state, fw.result) == (State.UPDATING, Result.INITIAL)
    assert fw.tick(43)


@pytest.mark.parametrize(("severity", "max_defer"), [(0, 30), (1, 0)])
def test_a_critical_update_and_one_that_may_not_wait_are_not_deferred(severity, max_defer):
    fw = downloaded(defer=100)
    fw.severity, fw.max_defer = severity, max_defer
    fw.execute_update(10)
    assert fw.state is State.UPDATING


def test_an_automatic_upgrade_needs_no_execute():
    fw = firmware()
    fw.automatic = True
    fw.write_package(GOOD, 0)
    fw.tick(2)
    assert fw.state is State.UPDATING
    assert fw.tick(5)


@given(st.binary(max_size=200), st.lists(st.integers(0, 40), max_size=10))
def test_pieces_of_any_size_make_the_same_package(data, sizes):
    reader, rest = PackageReader(), data
    for size in sizes:
        reader.feed(rest[:size])
        rest = rest[size:]
    reader.feed(rest)
    assert reader.finish() == read_package(data)


def test_a_header_is_read_across_pieces():
    reader = PackageReader()
    for byte in GOOD:
        reader.feed(bytes([byte]))
    assert reader.finish() == read_package(GOOD)
    assert read_package(GOOD).intact
    assert read_package(b"{not json\nrest").version == hashlib.sha256(b"{not json\nrest").hexdigest()[:8]
