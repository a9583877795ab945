import pytest

from iiot.sparkplug.births import BirthCatalog
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from iiot.sparkplug.topic import MessageType, Topic
from mqtt_redpanda_bridge.birth_store import BirthStore

NBIRTH = Topic(MessageType.NBIRTH, "g", "n")
DBIRTH = Topic(MessageType.DBIRTH, "g", "n", "d")
DDATA = Topic(MessageType.DDATA, "g", "n", "d")


def birth(name, alias):
    return encode_payload(Payload(1, [Metric(name, 1, DataType.INT8, 1, alias=alias)], 0))


def names(store):
    """What a DDATA with alias 5 is called after a restart."""
    catalog = BirthCatalog()
    store.load(catalog)
    payload = Payload(1, [Metric(None, 200, None, 1, alias=5)])
    catalog.resolve(DDATA, payload)
    return [(metric.name, metric.value) for metric in payload.metrics]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "births.sqlite"


def reopened(path, *births):
    store = BirthStore(path)
    for topic, payload in births:
        store.put(topic, payload)
    store.close()
    return BirthStore(path)


def test_births_survive_a_restart(path):
    store = reopened(path, (NBIRTH, birth("x", 1)), (DBIRTH, birth("Level", 5)))
    assert names(store) == [("Level", -56)]
    store.close()


def test_a_later_birth_replaces_an_earlier_one(path):
    store = reopened(path, (DBIRTH, birth("old", 5)), (DBIRTH, birth("new", 5)))
    assert names(store) == [("new", -56)]
    store.close()


def test_a_birth_of_the_node_voids_those_of_its_devices(path):
    store = reopened(path, (DBIRTH, birth("Level", 5)), (NBIRTH, birth("x", 1)))
    assert names(store) == [(None, 200)]
    store.close()


def test_damaged_rows_are_passed_over(path):
    store = reopened(path, (NBIRTH, b"\xff"), (DBIRTH, birth("Level", 5)))
    assert names(store) == [("Level", -56)]
    store.close()
