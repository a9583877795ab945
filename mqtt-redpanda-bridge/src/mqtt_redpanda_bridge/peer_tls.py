"""TLS between the bridges of a group: both sides show the certificate with which they go to the broker."""

import ssl
from asyncio import BaseTransport

from cryptography import x509
from cryptography.x509.oid import NameOID

from iiot.settings import MqttSettings


def context(settings: MqttSettings, purpose: ssl.Purpose) -> ssl.SSLContext | None:
    """The context for one side of a link; None when there is no certificate, so no TLS.

    Raises:
        OSError: a file cannot be read.
    """
    if not _is_on(settings):
        return None
    made = ssl.create_default_context(purpose, cafile=str(settings.mqtt_ca) if settings.mqtt_ca else None)
    # Members are found by address; who they are, their certificate's common name tells (see `Link`).
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(str(settings.mqtt_cert), settings.mqtt_key)
    return made


def identity(settings: MqttSettings) -> str | None:
    """The common name of this bridge's certificate, which all members share; None without TLS.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no certificate.
    """
    if not _is_on(settings) or settings.mqtt_cert is None:
        return None
    leaf = x509.load_pem_x509_certificates(settings.mqtt_cert.read_bytes())[0]
    return str(leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def common_name(transport: BaseTransport) -> str:
    """The common name of the other side's certificate; empty when it showed none."""
    certificate = transport.get_extra_info("peercert") or {}
    subject = dict(pair for group in certificate.get("subject", ()) for pair in group)
    return str(subject.get("commonName", ""))


def _is_on(settings: MqttSettings) -> bool:
    return settings.mqtt_tls and settings.mqtt_cert is not None
