"""Where fuzzing of plain bytes begins: the testbed's own files and messages, as small as they are."""

from pathlib import Path

import cbor2

from fuzz.targets import EVERY, TARGETS

_ROOT = Path(__file__).parent.parent.parent
_FILES = {
    "file-routes": "mqtt-redpanda-bridge/src/mqtt_redpanda_bridge/*.yaml",
    "file-profile": "device-simulator/src/device_simulator/profiles/*.yaml",
    "file-kind": "device-simulator/src/device_simulator/kinds/*.yaml",
    "file-object": "common/src/iiot/lwm2m/objects/*.yaml",
    "file-connect": "redpanda-connect-config.yaml",
}
_REGISTRATION = b'{"endpoint":"d","lifetime":60,"version":"1.2","objects":{"3":{"0":{"0":"x"}}}}'
_MESSAGES = {
    "sparkplug-payload": (bytes.fromhex("08a0061204082a2002500318052204"), b"\x18\x00"),
    "sparkplug-state": (b'{"online":true,"timestamp":1700000000000}',),
    "topics": (b"spBv1.0/IIoT/DDATA/e/d", b"lwm2m/d/cmd/t1", b"lwm2m/rd/d", b"spBv1.0/STATE/h"),
    "bridge-json": (_REGISTRATION,),
    "lwm2m-json-profile": (
        b"\0" + _REGISTRATION,
        b'\3{"values":{"/3303/0/5700":21.5},"seq":1,"timestamp":1}',
    ),
    "lwm2m-oma-profile": (b"\0\0" + cbor2.dumps({1: 3, 2: 7, 3: b"</3/0>", 4: "1.2", 5: 60}),),
    "lwm2m-links": (b'</>;rt="oma.lwm2m";ct="60 110",</1/0>,</3/0>;pmin=10;ver=1.1',),
    "monitor-preview": (b'{"metrics":[{"name":"T","value":1}],"payload_base64":"AAAA"}',),
}


def plant(name: str, corpus: Path) -> None:
    """Write a target's seeds into its corpus."""
    for number, seed in enumerate(_every() if name == EVERY else seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)


def seeds(name: str) -> list[bytes]:
    """What there is for a target; nothing for generators, which need none."""
    files = sorted(_ROOT.glob(_FILES[name])) if name in _FILES else []
    return [*(file.read_bytes() for file in files), *_MESSAGES.get(name, ())]


def _every() -> list[bytes]:
    return [bytes([number]) + seed for number, name in enumerate(TARGETS) for seed in seeds(name)]
