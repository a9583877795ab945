"""Values are of the types that an object has in the version which their device registered."""

import cbor2
import pytest

from iiot.lwm2m.content import Format
from iiot.lwm2m.message import Command, Link, Operation, Record, Send, Update
from iiot.lwm2m.model import load
from iiot.lwm2m.path import Path
from lwm2m_bench import Bench, OmaBench

LEVEL = Path.of(30000, 0, 1)
MODEL = """
id: 30000
name: Tank
version: "{version}"
resources:
  1: {{name: Level, operations: RW, type: {kind}, mandatory: true}}
"""


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    directory = tmp_path_factory.mktemp("models")
    for version, kind in (("1.0", "string"), ("1.1", "integer"), ("2.0", "float")):
        text = MODEL.format(version=version, kind=kind)
        (directory / f"tank-{version}.yaml").write_text(text)
    return load(directory)


def tank(version):
    told = {} if version is None else {"ver": version}
    return Link(Path.of(30000), told), Link(Path.of(30000, 0))


VERSIONS = pytest.mark.parametrize(
    ("version", "value", "body"),
    [(None, "7", b"7"), ("1.0", "7", b"7"), ("1.1", 7, b"\x07"), ("2.0", 7.0, b"\x40\xe0\0\0")],
)


@VERSIONS
def test_of_a_send_in_the_oma_profile(definitions, version, value, body):
    bench = OmaBench(definitions=definitions)
    told = "" if version is None else f";ver={version}"
    bench.says(cbor2.dumps({1: 6, 2: 1, 8: 60, 9: "1.2", 7: f"</30000>{told},</30000/0>".encode()}))
    bench.says(cbor2.dumps({1: 24, 2: 3, 19: 110, 7: b'[{"n":"/30000/0/1","v":7}]'}))
    if version in (None, "1.0"):
        assert bench.log.kinds[-1] == "refused"
    else:
        assert bench.values.latest("d1", LEVEL)[LEVEL][1] == value


@VERSIONS
def test_of_requests_and_answers_in_the_oma_profile(definitions, version, value, body):
    bench = OmaBench(definitions=definitions)
    told = "" if version is None else f";ver={version}"
    bench.says(cbor2.dumps({1: 6, 2: 1, 8: 60, 9: "1.2", 7: f"</30000>{told},</30000/0>".encode()}))
    write = Command(
        operation=Operation.WRITE, path=LEVEL, records=(Record(LEVEL, value),), format=Format.TLV, token="4"
    )
    _, sent = bench.channel.encode("d1", write)
    assert cbor2.loads(sent)[7] == bytes([0xC0 + len(body), 1]) + body
    bench.operations.submit("d1", Command(operation=Operation.READ, path=LEVEL))
    token = cbor2.loads(bench.published[-1][1])[2]
    seen = []
    bench.operations.listeners.append(lambda *ended: seen.append(ended[2]))
    payload = bytes([0xC0 + len(body), 1]) + body
    bench.says(cbor2.dumps({18: 205, 2: token, 19: 11542, 7: payload}))
    assert seen[0].records == (Record(LEVEL, value),)
    assert type(seen[0].records[0].value) is type(value)


@VERSIONS
def test_of_sends_and_registers_in_the_json_profile(definitions, version, value, body):
    bench = Bench(definitions)
    right, wrong = Record(LEVEL, value), Record(LEVEL, b"\1")
    bench.registers(links=tank(version), records=(wrong,))
    assert bench.replies[-1].code == 400
    bench.registers(links=tank(version), records=(right,))
    assert bench.replies[-1].code == 201
    bench.hears(Send(records=(right, Record(Path.of(30000, 1, 1), b"\1")), token="5"))
    bench.log.settle()
    assert bench.replies[-1].code == 400
    assert bench.replies[-1].error.field == "/30000/1/1"


def test_an_update_that_lists_another_version_changes_the_types(definitions):
    bench = Bench(definitions)
    bench.registers(links=tank("1.0"))
    bench.hears(Send(records=(Record(LEVEL, "full"),), token="5"))
    bench.log.settle()
    assert bench.replies[-1].code == 204
    bench.hears(Update(links=tank("1.1"), records=(Record(LEVEL, "full"),), token="6"))
    bench.log.settle()
    assert bench.replies[-1].code == 400
    bench.hears(Update(links=tank("1.1"), records=(Record(LEVEL, 3),), token="6"))
    bench.log.settle()
    assert bench.replies[-1].code == 204
    bench.hears(Send(records=(Record(LEVEL, "full"),), token="7"))
    bench.log.settle()
    assert bench.replies[-1].code == 400


def test_a_registration_that_is_restored_keeps_its_versions(definitions):
    bench = Bench(definitions)
    bench.registers(links=tank("1.1"))
    known = bench.registry.get("d1")
    other = Bench(definitions)
    other.registry.restore(known.dump(), 10.0)
    assert other.models.of("d1").resource(LEVEL) == definitions.version(30000, "1.1").resources[1]
    assert other.models.of("d2") is definitions
