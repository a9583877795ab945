"""What one edge node may take of a host's memory and time."""

from dataclasses import replace

import pytest

from iiot.budgets import BudgetError
from iiot.sparkplug.births import BirthCatalog
from iiot.sparkplug.composite import DataSet, Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.host_events import Limit, Refusal
from iiot.sparkplug.host_state import Quality
from iiot.sparkplug.payload import Metric, Parameter, Payload, Template
from iiot.sparkplug.topic import MessageType, Topic
from sparkplug_plant import KEY, T0, Plant, says

BAD, GOOD = Quality.BAD, Quality.GOOD
INT32 = DataType.INT32
DDATA = Topic(MessageType.DDATA, *KEY, "pump")
DBIRTH = Topic(MessageType.DBIRTH, *KEY, "pump")


def test_messages_that_wait_take_no_more_bytes_than_they_may():
    plant = Plant(reorder_bytes=10_000).connect()
    plant.data()
    for seq in (4, 5):
        plant.host.receive(DDATA, Payload(T0, [Metric("Mode", "x" * 4_000)], seq), T0)
    assert (plant.host.counters.gaps, plant.host._held) == (0, 2)
    plant.host.receive(DDATA, Payload(T0, [Metric("Mode", "x" * 4_000)], 6), T0)
    assert (plant.host.counters.gaps, plant.host._held) == (1, 0)
    plant.feed(*plant.births())
    for seq in (6, 7):  # what waited before is forgotten
        plant.host.receive(DDATA, Payload(T0 + 1, [Metric("Mode", "x" * 4_000)], seq), T0)
    assert (plant.host.counters.gaps, plant.host._held) == (1, 2)


LARGE = [
    (DataType.STRING, "x" * 600),
    (DataType.BYTES, b"x" * 600),
    (DataType.BOOLEAN_ARRAY, (True,) * 80),
    (DataType.STRING_ARRAY, ("x" * 300, "y" * 300)),
    (DataType.DATA_SET, DataSet(["a"], [INT32], [(70_000,)] * 10)),
    (DataType.TEMPLATE, Template([Metric("a", "x" * 600, DataType.STRING)], ref="t")),
]


@pytest.mark.parametrize(("datatype", "value"), LARGE, ids=lambda value: getattr(value, "label", ""))
def test_a_birth_whose_values_take_too_much_is_taken_as_far_as_there_is_room(datatype, value):
    plant = Plant(max_bytes=5_000).connect()
    large = [Metric(f"m{number}", value, datatype) for number in range(100)]
    outputs = plant.receive(DBIRTH, Metric("Temperature", 1.0, DataType.DOUBLE), *large)
    known = len(plant.pump.metrics)
    assert 2 <= known < 20
    assert plant.host.counters.over_limit[Limit.METRICS] == outputs[-1].count == 101 - known
    assert "5000 bytes" in outputs[-1].reason
    plant.receive(DBIRTH, Metric("Temperature", 1.0, DataType.DOUBLE))
    assert plant.node.weight == plant.pump.weight == 0


def test_a_value_that_takes_too_much_is_bad_and_the_last_good_one_stays():
    plant = Plant(max_bytes=5_000).connect()
    plant.receive(DBIRTH, Metric("Note", "old", DataType.STRING), Metric("Temperature", 1.0, DataType.DOUBLE))
    before = plant.node.weight
    outputs = plant.receive(DDATA, Metric("Note", "x" * 6_000), Metric("Temperature", 2.0))
    reason = "the edge node's values take more than 5000 bytes"
    assert outputs == [Refusal(DDATA, "Note", reason, 1)]
    assert (plant.pump.metrics["Note"].value, *plant.judged("Note")) == ("old", BAD, reason)
    assert (plant.temperature, plant.node.weight) == (2.0, before)
    assert plant.host.counters.over_limit[Limit.BYTES] == 1
    for text in ("x" * 4_000, "y" * 4_500, "new"):
        plant.receive(DDATA, Metric("Note", text))
        assert (plant.pump.metrics["Note"].value, *plant.judged("Note")) == (text, GOOD, None)
    assert plant.node.weight == before


def test_properties_that_data_invents_have_an_end_and_those_that_come_again_cost_nothing():
    plant = Plant(max_bytes=20_000).connect()
    for number in range(200):
        plant.receive(
            DDATA, Metric("Temperature", 2.0, properties={"low": Property(INT32, number)} | says(0))
        )
        plant.receive(DDATA, Metric("Temperature", 2.0))
    assert plant.host.counters.over_limit[Limit.BYTES] == 0
    for number in range(200):
        plant.receive(DDATA, Metric("Temperature", 2.0, properties={f"p{number}": Property(INT32, number)}))
    assert plant.host.counters.over_limit[Limit.BYTES] > 100
    assert len(plant.pump.metrics["Temperature"].properties) < 100


@pytest.mark.parametrize(
    ("born", "sent"),
    [
        (
            Metric("M", 1, INT32, properties={f"{number}": Property(INT32, 1) for number in range(5_000)}),
            Metric("M", 1, INT32, properties={"0": Property(INT32, 1)}),
        ),
        (
            Metric(
                "M", Template([Metric(f"{n}", 1, INT32) for n in range(5_000)], ref="t"), DataType.TEMPLATE
            ),
            Metric("M", Template([Metric("0", 1, INT32)], ref="t"), DataType.TEMPLATE),
        ),
        (
            Metric(
                "M", Template([], [Parameter(f"{n}", INT32, 1) for n in range(5_000)], "t"), DataType.TEMPLATE
            ),
            Metric("M", Template([], [Parameter("0", INT32, 1)], "t"), DataType.TEMPLATE),
        ),
    ],
    ids=["properties", "members", "parameters"],
)
def test_a_metric_that_comes_many_times_is_compared_with_its_birth_only_so_often(born, sent):
    plant = Plant().connect()
    plant.receive(DBIRTH, born, Metric("Temperature", 1.0, DataType.DOUBLE))
    many = [replace(sent) for _ in range(200)]
    outputs = plant.receive(DDATA, *many, Metric("Temperature", 2.0))
    assert "more than 400000 comparisons with its birth" in outputs[-1].reason
    assert 100 < outputs[-1].count < 200
    assert (plant.temperature, plant.host.counters.gaps) == (2.0, 0)
    plant.receive(DDATA, sent)
    assert plant.judged("M") == (GOOD, None)

    catalog = BirthCatalog()
    catalog.learn(DBIRTH, Payload(T0, [born], 1))
    with pytest.raises(BudgetError, match="comparisons"):
        catalog.resolve(DDATA, Payload(T0, [replace(sent, datatype=None) for _ in range(200)]))
