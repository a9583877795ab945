"""Every decoder of what comes from the network, and every parser of files that users write.

A target takes bytes. It returns when they were decoded, or refused as the decoder's contract says;
whatever else it raises is a fault. Each decoder gets bytes as they are, and frames that a generator
makes of them.
"""

import itertools
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import orjson

from console.decode import Decoder
from device_simulator.firmware_package import read_package
from device_simulator.kind import Kind
from device_simulator.profile import Profile
from fuzz import sparkplug_frames, text_frames, value_frames
from fuzz.source import Source
from iiot.budgets import OUTPUT_BYTES
from iiot.errors import DecodeError, InvalidValueError, SettingsError
from iiot.lwm2m import json_profile, oma_profile
from iiot.lwm2m.content import Format, decode, link
from iiot.lwm2m.message import Content
from iiot.lwm2m.model import DefinitionError, built_in, load
from iiot.lwm2m.path import Path as NodePath
from iiot.sparkplug.births import BirthCatalog
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.host import SparkplugHost
from iiot.sparkplug.host_policy import HostPolicy
from iiot.sparkplug.lint.events import Publish, decode_line
from iiot.sparkplug.lint.linter import Linter
from iiot.sparkplug.payload import Metric, Payload, decode_payload, encode_payload
from iiot.sparkplug.rebirth import RebirthPolicy
from iiot.sparkplug.state import decode_state
from iiot.sparkplug.topic import parse_topic
from iiot.yamlfile import load_yaml
from mqtt_redpanda_bridge.encode import Context, Encoder, open_encoder
from mqtt_redpanda_bridge.routes import Format as RouteFormat
from mqtt_redpanda_bridge.routes import Route, load_routes
from sparkplug_edge import born
from testbed.connect.config import ConfigError
from testbed.connect.config import parse as parse_connect
from testbed.monitor.preview import summary

NOW = 1_700_000_000_000
_TOPIC = "spBv1.0/IIoT/{}/edge-1"
_KINDS = ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH", "NCMD", "DCMD")
_JSON_UP = ("reg", "update", "dereg", "send", "notify/t", "resp/t")
_FORMATS = (*(int(form) for form in Format), 7)
_NODES = tuple(
    NodePath.parse(path) for path in ("/", "/3", "/3/0", "/3/0/9", "/3/0/6", "/3303/0/5700", "/5/0/0")
)


def _refused_if(*errors: type[Exception]) -> Callable[[Callable[[bytes], None]], Callable[[bytes], None]]:
    """A target that may refuse by raising one of these."""

    def wrap(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
        def refusing(data: bytes) -> None:
            with suppress(*errors):
                run(data)

        return refusing

    return wrap


def _born() -> Payload:
    """A birth whose metrics have the names and aliases that the generated data uses."""
    datatypes = itertools.islice(itertools.cycle((8, 11, 3, 12, 9, 16, 19)), len(sparkplug_frames.NAMES))
    return Payload(
        NOW,
        [
            Metric(name, None, DataType(datatype), alias=alias)
            for alias, (name, datatype) in enumerate(zip(sparkplug_frames.NAMES, datatypes, strict=True))
            if name
        ],
        seq=0,
    )


_BIRTH = encode_payload(_born())


def _messages(data: bytes) -> Iterable[tuple[str, bytes]]:
    """A birth, then generated messages of one edge node and its device."""
    source = Source(data)
    yield _TOPIC.format("NBIRTH"), _BIRTH
    yield _TOPIC.format("DBIRTH") + "/d", _BIRTH
    for _ in range(4):
        kind = source.pick(_KINDS)
        yield _TOPIC.format(kind) + ("/d" if kind.startswith("D") else ""), sparkplug_frames.payload(source)


def _host(data: bytes) -> None:
    host = SparkplugHost(HostPolicy(rebirth=RebirthPolicy()), lambda: 0.5)
    for now, (topic, payload) in enumerate(_messages(data)):
        parsed = parse_topic(topic)
        try:
            decoded = decode_payload(payload)
        except DecodeError:
            host.receive_undecodable(parsed, now)
        else:
            host.receive(parsed, decoded, now)
        host.tick(now)


def _command(data: bytes) -> None:
    edge = born()
    for topic in ("spBv1.0/IIoT/NCMD/n", "spBv1.0/IIoT/DCMD/n/pump"):
        with suppress(DecodeError):
            edge.receive(topic, data)


def _lint(data: bytes) -> None:
    linter = Linter()
    for number, (topic, payload) in enumerate(_messages(data)):
        linter.feed(Publish(NOW + number, topic, payload))
    linter.finish()


def _console(data: bytes) -> None:
    decoder = Decoder()
    for topic, payload in _messages(data):
        orjson.dumps(decoder.decode(topic, payload, NOW))


def _preview(data: bytes) -> None:
    summary(data, "iot.telemetry.sparkplug.data")


def _encoded(encoder: Encoder, payload: bytes) -> None:
    value, _ = encoder.encode(payload, NOW)
    assert len(value) <= OUTPUT_BYTES, f"a record of {len(value)} bytes"


def _bridge(
    form: RouteFormat, topics: Iterable[str], frame: Callable[[Source], bytes]
) -> Callable[[bytes], None]:
    """The bridge's encoder of a format."""

    def run(data: bytes) -> None:
        source = Source(data)
        route = Route(
            name="fuzz", filters=("#",) if form is RouteFormat.RAW else _FILTERS[form], topic="t", format=form
        )
        context = Context()
        for topic in topics:
            with suppress(DecodeError, InvalidValueError):
                _encoded(open_encoder(route, topic, context), frame(source))

    return run


_FILTERS = {
    RouteFormat.SPARKPLUG_JSON: ("spBv1.0/#",),
    RouteFormat.SPARKPLUG_PROTOBUF: ("spBv1.0/#",),
    RouteFormat.LWM2M_JSON: ("lwm2m/#",),
    RouteFormat.LWM2M_OMA: ("lwm2m/rd/+",),
}


def _births(data: bytes) -> None:
    births = BirthCatalog()
    for topic, payload in _messages(data):
        with suppress(DecodeError):
            decoded, parsed = decode_payload(payload), parse_topic(topic)
            births.learn(parsed, decoded)
            births.resolve(parsed, decoded)


def _bridge_sparkplug(data: bytes) -> None:
    context = Context()
    route = Route(name="fuzz", filters=("spBv1.0/#",), topic="t", format=RouteFormat.SPARKPLUG_JSON)
    for topic, payload in _messages(data):
        with suppress(DecodeError):
            _encoded(open_encoder(route, topic, context), payload)


def _content(frame: Callable[[Source], bytes], forms: tuple[int, ...] = _FORMATS) -> Callable[[bytes], None]:
    """The codecs of content, each with the paths of requests that it answers."""

    def run(data: bytes) -> None:
        source = Source(data)
        form, node = source.pick(forms), source.pick(_NODES)
        decode(Content(form, frame(source)), node, built_in())

    return _refused_if(DecodeError, InvalidValueError)(run)


def _json_profile(frame: Callable[[Source], bytes]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        source = Source(data)
        topic = json_profile.parse_topic(f"lwm2m/device-1/{source.pick((*_JSON_UP, 'cmd/t', 'ack/reg'))}")
        read = json_profile.decode_downlink if topic.kind in ("cmd", "ack") else json_profile.decode_uplink
        read(topic, frame(source))

    return _refused_if(DecodeError, InvalidValueError)(run)


def _oma_profile(frame: Callable[[Source], bytes]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        source = Source(data)
        topic = oma_profile.parse_topic(f"lwm2m/{source.pick(('rd', 'bs'))}/device-1")
        source.pick((oma_profile.decode_uplink, oma_profile.decode_downlink))(topic, frame(source))

    return _refused_if(DecodeError, InvalidValueError)(run)


@_refused_if(DecodeError, InvalidValueError)
def _topics(data: bytes) -> None:
    topic = data.decode("utf-8", "replace")
    for parse in (parse_topic, json_profile.parse_topic, oma_profile.parse_topic):
        with suppress(DecodeError, InvalidValueError):
            parse(topic)


def _in_file(name: str, read: Callable[[Path], object], *errors: type[Exception]) -> Callable[[bytes], None]:
    """A parser of a user's file, in a directory of its own."""

    def run(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / name
            file.write_bytes(data)
            read(file)

    return _refused_if(*errors)(run)


def _made(frame: Callable[[Source], bytes], run: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """A target that takes generated frames."""
    return lambda data: run(frame(Source(data)))


_routes = _in_file("routes.yaml", load_routes, SettingsError)
_profile = _in_file("profile.yaml", lambda file: load_yaml(file, Profile), SettingsError)
_kind = _in_file("kind.yaml", lambda file: load_yaml(file, Kind), SettingsError)
_object = _in_file("object.yaml", lambda file: load(file.parent), DefinitionError)
_xml = _in_file("object.xml", lambda file: load(file.parent), DefinitionError)
_recording = _refused_if(DecodeError)(lambda data: [decode_line(line) for line in data.split(b"\n")])
_connect = _refused_if(ConfigError)(lambda data: parse_connect(data.decode("utf-8", "replace"), {}, "health"))
_payload = _refused_if(DecodeError)(decode_payload)
_link = _refused_if(DecodeError, InvalidValueError)(lambda data: link.decode(data.decode("utf-8", "replace")))


def _bytes(source: Source) -> bytes:
    return source.rest()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sparkplug-payload": _payload,
    "sparkplug-payload-frames": _made(sparkplug_frames.payload, _payload),
    "sparkplug-command-frames": _made(sparkplug_frames.payload, _command),
    "sparkplug-state": _refused_if(DecodeError)(decode_state),
    "sparkplug-host-frames": _host,
    "sparkplug-lint-frames": _lint,
    "sparkplug-births-frames": _births,
    "topics": _topics,
    "bridge-sparkplug-frames": _bridge_sparkplug,
    "bridge-json": _bridge(RouteFormat.LWM2M_JSON, ["lwm2m/d/reg"], _bytes),
    "bridge-json-frames": _bridge(
        RouteFormat.LWM2M_JSON, [f"lwm2m/d/{kind}" for kind in _JSON_UP], value_frames.json_message
    ),
    "bridge-oma-frames": _bridge(RouteFormat.LWM2M_OMA, ["lwm2m/rd/d"], value_frames.oma_message),
    "console-frames": _console,
    "monitor-preview": _preview,
    "monitor-preview-frames": _made(sparkplug_frames.payload, _preview),
    "lwm2m-content": _content(_bytes),
    "lwm2m-senml-json-frames": _content(value_frames.senml_json, (110, 320)),
    "lwm2m-senml-cbor-frames": _content(value_frames.senml_cbor, (112, 322)),
    "lwm2m-cbor-frames": _content(value_frames.lwm2m_cbor, (11544,)),
    "lwm2m-value-frames": _content(value_frames.cbor_value, (60,)),
    "lwm2m-tlv-frames": _content(value_frames.tlv, (11542,)),
    "lwm2m-links": _link,
    "lwm2m-links-frames": _made(text_frames.links, _link),
    "lwm2m-json-profile": _json_profile(_bytes),
    "lwm2m-json-profile-frames": _json_profile(value_frames.json_message),
    "lwm2m-oma-profile": _oma_profile(_bytes),
    "lwm2m-oma-profile-frames": _oma_profile(value_frames.oma_message),
    "file-routes": _routes,
    "file-routes-frames": _made(text_frames.yaml_file, _routes),
    "file-profile": _profile,
    "file-profile-frames": _made(text_frames.yaml_file, _profile),
    "file-kind": _kind,
    "file-kind-frames": _made(text_frames.yaml_file, _kind),
    "file-object": _object,
    "file-object-frames": _made(text_frames.yaml_file, _object),
    "file-object-xml-frames": _made(text_frames.xml_file, _xml),
    "file-connect": _connect,
    "file-connect-frames": _made(text_frames.yaml_file, _connect),
    "file-recording-frames": _made(text_frames.json_lines, _recording),
    "file-firmware": lambda data: read_package(data) and None,
}
EVERY = "every"
"""All of them in one: the first byte chooses."""


def target(name: str) -> Callable[[bytes], None]:
    """A target by its name."""
    return _every if name == EVERY else TARGETS[name]


def _every(data: bytes) -> None:
    names = list(TARGETS)
    TARGETS[names[data[0] % len(names) if data else 0]](data[1:])
