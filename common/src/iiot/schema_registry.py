"""Registering schemas over the Confluent Schema Registry API, which Redpanda answers as well."""

import struct
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from iiot.errors import IiotError
from iiot.http_client import open_session
from iiot.schemas import Schema

TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
COMPATIBILITY: Final = "BACKWARD"
"""A new version reads what was written with the one before."""
_CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"


class RegistryError(IiotError):
    """The registry cannot be reached, or refused a schema; the text says which and why."""


async def register(url: str, schemas: Mapping[str, Schema]) -> dict[str, int]:
    """Register the schema of each topic's values as subject `{topic}-value`, compatibility BACKWARD.

    Registering what is registered changes nothing.

    Args:
        url: of the registry.
        schemas: by topic.

    Returns:
        The schema's id, by topic.

    Raises:
        RegistryError: for the first subject that could not be registered.
    """
    ids = {}
    async with open_session(timeout=TIMEOUT, headers={"Content-Type": _CONTENT_TYPE}) as session:
        for topic, schema in schemas.items():
            subject = f"{topic}-value"
            base = url.rstrip("/")
            await _call(session, "PUT", f"{base}/config/{subject}", {"compatibility": COMPATIBILITY})
            # Without schemaType registries take Avro.
            body = {"schema": schema.text, "schemaType": schema.kind}
            answer = await _call(session, "POST", f"{base}/subjects/{subject}/versions", body)
            ids[topic] = int(answer["id"])
    return ids


def frame(schema_id: int, schema: Schema) -> bytes:
    """What precedes a value in the Confluent wire format: 0, the schema's id, for protobuf an index.

    The index of the file's first message, the list [0], is written as the single byte 0.
    """
    return struct.pack(">bI", 0, schema_id) + (b"\x00" if schema.kind == "PROTOBUF" else b"")


async def _call(session: aiohttp.ClientSession, method: str, url: str, body: dict[str, str]) -> Any:
    try:
        async with session.request(method, url, json=body) as response:
            if response.status != 200:
                raise RegistryError(f"{method} {url}: {response.status} {(await response.text())[:300]}")
            return await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
        raise RegistryError(f"{method} {url}: {exc or type(exc).__name__}") from exc
