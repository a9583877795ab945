import sqlite3

import pytest

from iiot.errors import SettingsError
from iiot.sparkplug.births import BirthCatalog
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from iiot.sparkplug.topic import MessageType, Topic
from mqtt_redpanda_bridge.store import Store, open_store

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
    return tmp_path / "bridge.sqlite"


def reopened(path, *births):
    store = Store(path)
    for topic, payload in births:
        store.put(topic, payload)
    store.close()
    return Store(path)


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


def test_filters_are_kept_by_client_id(path):
    store = Store(path)
    store.set_filters("bridge", ["a/+", "b/#"])
    store.set_filters("other", ["c"])
    store.set_filters("bridge", ["b/#"])
    store.close()
    store = Store(path)
    assert store.filters("bridge") == {"b/#"}
    assert store.filters("unknown") == frozenset()
    store.close()


def test_births_are_handed_on_each_node_before_its_devices(path):
    store = reopened(path, (DBIRTH, b"2"), (NBIRTH, b"1"), (DBIRTH, b"3"))
    assert list(store.births()) == [(NBIRTH, b"1"), (DBIRTH, b"3")]
    store.close()


def test_births_that_cannot_be_written_wait(path):
    store, other = Store(path), sqlite3.connect(path)
    store._database.execute("PRAGMA busy_timeout = 10")
    other.execute("BEGIN IMMEDIATE")
    store.put(NBIRTH, b"1")
    assert store.save() == 0
    other.rollback()
    other.close()
    assert store.save() == 1
    store.close()


def test_without_a_file_everything_is_in_memory():
    store = Store()
    store.put(NBIRTH, b"1")
    assert list(store.births()) == [(NBIRTH, b"1")]
    store.close()


def test_a_file_that_is_no_database_is_named(path):
    path.write_bytes(b"no database at all, but long enough to have a header" * 100)
    with pytest.raises(SettingsError, match=r"STATE_FILE=.*not a database"):
        open_store(path)
