"""The testbed's certificates: a root authority, a device authority under it, one certificate per identity.

Layout below one directory: `ca/` (root), `device-ca/` (the "factory" that mints devices; the only
authority a simulator gets to see), `broker/`, one directory per service, `devices/<id>/`. A directory
of an identity holds `tls.crt`, `tls.key` and `ca.crt` (the root, to verify the other side with).
All keys are EC P-256; the common name is the MQTT identity.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from iiot.identity import SERVICES, check_device_id

AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
SERVICE_NAMES = {
    "lwm2m-server": ("localhost", "127.0.0.1", "::1", "lwm2m-server"),
    "mqtt-redpanda-bridge": ("mqtt-redpanda-bridge",),
}
"""Services that others reach over TLS, with their names: devices by HTTPS, bridges each other."""
BROKER_NAMES = ("localhost", "127.0.0.1", "::1", "mosquitto", "lwm2m-mosquitto")

_ORGANIZATION = "IoT Testing Corp"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Identity:
    """The PEM files with which one MQTT client proves who it is."""

    ca: Path
    """The root that vouches for the broker."""
    cert: Path
    """The client's certificate, followed by its intermediate authority if there is one."""
    key: Path


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def create_authority(certs: Path, broker_names: Sequence[str] = BROKER_NAMES) -> None:
    """Make or renew both authorities and the certificates of broker and services; what is still good stays.

    Args:
        certs: the directory of all certificates; created when missing.
        broker_names: DNS names and addresses by which clients may reach the broker.
    """
    with _locked(certs):
        root = _ensure_authority(certs / "ca", "root", issuer=None)
        factory = certs / "device-ca"
        _ensure_authority(factory, "devices", issuer=root)
        root_pem = _pem(root.certificate)
        _write(factory / "root.crt", root_pem, 0o644)
        _ensure_leaf(certs / "broker", "mosquitto", root, b"", root_pem, tuple(broker_names))
        for service in SERVICES:
            _ensure_leaf(certs / service, service, root, b"", root_pem, SERVICE_NAMES.get(service, ()))


def service_identity(certs: Path, service: str) -> Identity:
    """The files of a service's identity made by `create_authority`."""
    return identity_in(certs / service)


def issue(certs: Path, device_id: str, *, devices: Path | None = None) -> Identity:
    """Return a device's certificate, made now if there is none that lasts another 30 days.

    Args:
        certs: a directory with `device-ca/` in it, which is all of it that a simulator is given.
        device_id: the identity: LwM2M endpoint, MQTT client id, Sparkplug edge node id.
        devices: where the device directories are kept; `certs/devices` when not given.

    Raises:
        InvalidValueError: `device_id` is not a legal device id.
        FileNotFoundError: there is no device authority in `certs`.
    """
    check_device_id(device_id)
    factory = certs / "device-ca"
    authority = _load_authority(factory)
    directory = (devices or certs / "devices") / directory_name(device_id)
    with _locked(directory):
        _ensure_leaf(
            directory, device_id, authority, _pem(authority.certificate), (factory / "root.crt").read_bytes()
        )
    return identity_in(directory)


def identity_in(directory: Path) -> Identity:
    """The files of the identity that `directory` holds."""
    directory = directory.resolve()
    return Identity(ca=directory / "ca.crt", cert=directory / "tls.crt", key=directory / "tls.key")


def directory_name(device_id: str) -> str:
    """Name of the directory of a device's identity."""
    # An id may be ".." or too long for a file name in UTF-8; "~" starts no plain name, so no two ids meet.
    if _PLAIN_NAME.fullmatch(device_id):
        return device_id
    return "~" + hashlib.sha256(device_id.encode()).hexdigest()[:32]


def _ensure_authority(directory: Path, name: str, issuer: _Authority | None) -> _Authority:
    try:
        current = _load_authority(directory)
    except FileNotFoundError:
        pass
    else:
        if _lasts(current.certificate, issuer.certificate if issuer else current.certificate):
            return current
    key = ec.generate_private_key(ec.SECP256R1())
    # A new authority gets a new name, so that no verifier confuses it with the one it replaces.
    subject = _name(f"IoT testbed {name} CA {os.urandom(4).hex()}")
    signer_name, signer_key = (issuer.certificate.subject, issuer.key) if issuer else (subject, key)
    certificate = (
        _builder(subject, signer_name, key, signer_key, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0 if issuer else 1), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(signer_key, hashes.SHA256())
    )
    _write(directory / "ca.key", _key_pem(key), 0o600)
    _write(directory / "ca.crt", _pem(certificate), 0o644)
    return _Authority(certificate, key)


def _ensure_leaf(
    directory: Path,
    name: str,
    issuer: _Authority,
    chain: bytes,
    root: bytes,
    server_names: tuple[str, ...] = (),
) -> None:
    path = directory / "tls.crt"
    if (directory / "tls.key").exists() and path.exists() and (directory / "ca.crt").exists():
        current = x509.load_pem_x509_certificate(path.read_bytes())
        if _lasts(current, issuer.certificate) and _server_names(current) == server_names:
            return
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.SERVER_AUTH] if server_names else []
    if not server_names or name in SERVICES:
        usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    builder = (
        _builder(_name(name), issuer.certificate.subject, key, issuer.key, LEAF_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )
    if server_names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(map(_general_name, server_names)), critical=False
        )
    certificate = builder.sign(issuer.key, hashes.SHA256())
    _write(directory / "ca.crt", root, 0o644)
    _write(directory / "tls.key", _key_pem(key), 0o600)
    _write(path, _pem(certificate) + chain, 0o644)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # An hour back, so that containers and hosts whose clocks differ a little accept it at once.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority_key, critical=False)
    )


def _lasts(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if certificate.not_valid_after_utc - datetime.now(UTC) < RENEW_BEFORE:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, InvalidSignature):
        return False
    return True


def _load_authority(directory: Path) -> _Authority:
    certificate = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{directory / 'ca.key'} is not an EC key")
    return _Authority(certificate, key)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _server_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    # Written aside and renamed: a reader sees the old file or the new one, and a key is never open to others.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
    temporary.replace(path)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
