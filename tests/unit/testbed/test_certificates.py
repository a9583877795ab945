"""What `testbed certs` makes, checked with OpenSSL through Python's ssl module."""

import json
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from iiot import certs
from iiot.identity import SERVICES
from testbed.app import app


@pytest.fixture
def authority(tmp_path):
    certs.create_authority(tmp_path)
    return tmp_path


def handshake(server: Path, client: certs.Identity, name: str) -> dict:
    """The subject that the server sees, after a mutual TLS handshake."""
    accept = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=server / "ca.crt")
    accept.verify_mode = ssl.CERT_REQUIRED
    accept.load_cert_chain(server / "tls.crt", server / "tls.key")
    connect = ssl.create_default_context(cafile=client.ca)
    connect.load_cert_chain(client.cert, client.key)
    near, far = socket.socketpair()
    seen = {}

    def serve():
        with accept.wrap_socket(near, server_side=True) as tls:
            seen.update(dict(pair[0] for pair in tls.getpeercert()["subject"]))

    thread = threading.Thread(target=serve)
    thread.start()
    with connect.wrap_socket(far, server_hostname=name):
        pass
    thread.join()
    return seen


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "mosquitto", "lwm2m-mosquitto"])
def test_broker_and_device_trust_each_other_by_every_name(authority, name):
    device = certs.issue(authority, "device-temp-001")
    assert handshake(authority / "broker", device, name)["commonName"] == "device-temp-001"


def test_a_service_identity_is_trusted_too(authority):
    identity = certs.service_identity(authority, "lwm2m-server")
    assert handshake(authority / "broker", identity, "localhost")["commonName"] == "lwm2m-server"


def test_keys_are_for_their_owner_only(authority):
    certs.issue(authority, "device-temp-001")
    keys = list(authority.rglob("*.key"))
    assert len(keys) == len(SERVICES) + 4, "two authorities, broker, device"
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}


def test_what_is_good_stays_and_what_expires_soon_is_renewed(authority, monkeypatch):
    first = certs.issue(authority, "device-temp-001").cert.read_bytes()
    certs.create_authority(authority)
    assert certs.issue(authority, "device-temp-001").cert.read_bytes() == first
    monkeypatch.setattr(certs, "RENEW_BEFORE", certs.LEAF_LIFETIME)
    renewed = certs.issue(authority, "device-temp-001").cert.read_bytes()
    assert renewed != first
    expires = x509.load_pem_x509_certificate(renewed).not_valid_after_utc
    assert expires - datetime.now(UTC) > timedelta(days=360)


def test_a_new_authority_replaces_every_certificate(authority):
    before = certs.issue(authority, "device-temp-001").cert.read_bytes()
    for name in ("ca.crt", "ca.key"):
        (authority / "ca" / name).unlink()
    certs.create_authority(authority)
    device = certs.issue(authority, "device-temp-001")
    assert device.cert.read_bytes() != before
    assert handshake(authority / "broker", device, "localhost")["commonName"] == "device-temp-001"


@pytest.mark.parametrize("device_id", ["...", "~x", "gerät 7", "a b", "x" * 64, "ü" * 32, "-v"])
def test_every_legal_id_gets_a_directory_of_its_own_below_devices(authority, device_id):
    cert = certs.issue(authority, device_id).cert
    assert cert.parent.parent == (authority / "devices").resolve()
    name = x509.load_pem_x509_certificate(cert.read_bytes()).subject.rfc4514_string()
    assert name.startswith("CN=") or "CN=" in name


def test_the_command_prints_absolute_paths_of_files_that_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTBED_STATE", str(tmp_path))
    result = CliRunner().invoke(app, ["certs", "issue", "device-temp-001", "--json"])
    files = {name: Path(path) for name, path in json.loads(result.stdout).items()}
    assert set(files) == {"ca", "cert", "key"}
    assert all(path.is_absolute() and path.is_file() for path in files.values())


@pytest.mark.parametrize("device_id", ["a/b", "a+b", "a#", "$SYS", "bs", "rd", "lwm2m-server", "", "x" * 65])
def test_an_illegal_id_is_refused_in_one_line(tmp_path, monkeypatch, device_id):
    monkeypatch.setenv("TESTBED_STATE", str(tmp_path))
    result = CliRunner().invoke(app, ["certs", "issue", "--", device_id])
    assert result.exit_code == 2
    assert result.stderr.startswith("certs: device id: got ")
    assert len(result.stderr.splitlines()) == 1
