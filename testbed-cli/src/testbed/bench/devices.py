"""Messages as the simulator's devices send them, and a connection that speaks for many devices."""

from functools import cache
from typing import Final

from iiot.lwm2m import content, json_profile, model, oma_profile
from iiot.lwm2m.content import Format
from iiot.lwm2m.message import Content, Link, Record, Register, Send
from iiot.lwm2m.path import ROOT, Path
from iiot.mqtt import Connection, ConnectOptions
from iiot.mqtt.message import MessageHandler
from iiot.settings import MqttSettings, load

LINKS: Final = (
    *(Link(Path.parse(path)) for path in ("/1/0", "/3/0", "/4/0", "/5/0", "/7/0")),
    *(Link(Path.of(number), {"ver": "1.1"}) for number in (3303, 3304)),
    *(Link(Path.of(number, 0)) for number in (3303, 3304)),
)
_LIFETIME: Final = 3600
_MODEL: Final = ("IoT Testing Corp", "SimDevice-temperature_sensor", "0000001", "1.0.0", "UQ")
_VALUES: Final = ((3303, 5700, 23.512), (3304, 5700, 51.25))


def name_of(number: int) -> str:
    """The endpoint of the device with this number."""
    return f"device-bench-{number:06}"


def register(profile: str, number: int, seq: int, now_ms: int) -> tuple[str, bytes]:
    """Topic and payload of a Register; in the JSON profile it tells values of object 3 as well."""
    name = name_of(number)
    is_json = profile == "json"
    values = zip((0, 1, 2, 3, 16), _MODEL, strict=True)
    message = Register(
        endpoint=name,
        lifetime=_LIFETIME,
        binding="UQ" if is_json else "M",
        links=LINKS,
        records=tuple(Record(Path.of(3, 0, id_), value) for id_, value in values) if is_json else (),
        token="" if is_json else str(2 * seq + 1),
        seq=seq,
        timestamp=now_ms,
    )
    if is_json:
        return json_profile.encode_uplink(name, message)
    return str(oma_profile.Topic(name)), oma_profile.encode_uplink(message)


def send(profile: str, number: int, seq: int, now_ms: int) -> tuple[str, bytes]:
    """Topic and payload of a Send with three values."""
    name = name_of(number)
    records = tuple(Record(Path.of(object_id, 0, id_), value) for object_id, id_, value in _VALUES)
    records = (*records, Record(Path.of(3, 0, 9), 85))
    if profile == "json":
        return json_profile.encode_uplink(name, Send(records=records, seq=seq, timestamp=now_ms))
    body = Content(Format.SENML_CBOR, content.encode(Format.SENML_CBOR, records, ROOT, _definitions()))
    message = Send(content=body, token=str(2 * seq + 1), seq=seq, timestamp=now_ms)
    return str(oma_profile.Topic(name)), oma_profile.encode_uplink(message)


async def connect(port: int, name: str, on_message: MessageHandler) -> Connection:
    """A connection to the plain listener of a broker on this host."""
    settings = load(MqttSettings, mqtt_host="127.0.0.1", mqtt_port=port, mqtt_tls=False)
    return await Connection.open(ConnectOptions(name, settings), on_message)


@cache
def _definitions() -> model.Definitions:
    return model.built_in()
