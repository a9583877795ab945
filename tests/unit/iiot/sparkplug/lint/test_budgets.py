"""Messages that would cost more than their budget: told, not judged, and cheap."""

import gzip
import time
import zlib

import pytest

from iiot._pb.sparkplug_b_pb2 import Payload as Pb
from iiot.budgets import COMPOSITE_NESTING, ELEMENTS, MESSAGE_BYTES, METRICS
from iiot.sparkplug.compression import ENVELOPE
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.lint.findings import Kind, Subject
from iiot.sparkplug.lint.linter import Linter
from sparkplug_traffic import FULL_VIEW, Traffic, by_name, lint, metric

DEVICE = Subject(Kind.DEVICE, "group", "node", "dev")
SECONDS = 5
"""Unbudgeted, the dearest of these takes minutes."""


def head(seq=2):
    return Pb(timestamp=Traffic().now, seq=seq).SerializeToString()


def wrapped(body):
    return Pb(uuid=ENVELOPE, body=body).SerializeToString()


def rows():
    payload, dataset = Pb.FromString(head()), Pb.DataSet(num_of_columns=1, columns=["a"], types=[3])
    for _ in range(ELEMENTS + 1):
        dataset.rows.add().elements.add(int_value=1)
    metric(payload, "Table", DataType.DATA_SET).dataset_value.CopyFrom(dataset)
    return payload.SerializeToString()


BEYOND = {
    "metrics": head() + b"\x12\x00" * (METRICS + 1),
    "a megabyte of metrics": head() + b"\x12\x00" * (MESSAGE_BYTES // 2),
    "zlib, metrics": wrapped(zlib.compress(head() + b"\x12\x02\x10\x01" * (1 << 20))),
    "gzip, bytes": wrapped(gzip.compress(head() + b"\x2a\x80\x80\x80\x08" + bytes(16 << 20))),
    "rows": rows(),
}


@pytest.mark.parametrize("payload", BEYOND.values(), ids=BEYOND)
def test_a_message_beyond_its_budget_is_told_and_costs_little(payload):
    traffic = Traffic()
    traffic.births()
    traffic.publish("spBv1.0/group/DDATA/node/dev", payload)
    began = time.process_time()
    found = lint(traffic.events)

    assert time.process_time() - began < SECONDS
    assert {(rule, subject) for rule, subject in found} == {("payload-over-budget", DEVICE)}
    (evidence,) = found["payload-over-budget", DEVICE].evidence
    assert "more than" in evidence.detail


@pytest.mark.parametrize("payload", BEYOND.values(), ids=BEYOND)
def test_a_will_beyond_its_budget_is_told(payload):
    traffic = Traffic()
    traffic.connect_edge(payload=payload)

    assert {rule for rule, _ in lint(traffic.events)} == {"payload-over-budget"}


@pytest.mark.parametrize("verb", ["NBIRTH", "NDATA", "NDEATH", "NCMD"])
def test_it_is_told_of_every_message_and_ends_no_session(verb):
    traffic = Traffic()
    traffic.connect_edge()
    traffic.births()
    publishing = {"qos": 1} if verb == "NDEATH" else {}
    traffic.publish(f"spBv1.0/group/{verb}/node", BEYOND["zlib, metrics"], client="other", **publishing)
    traffic.ddata()
    linter = Linter(FULL_VIEW)
    for event in traffic.events:
        linter.feed(event)

    assert [finding.rule.key for finding in linter.finish()] == ["payload-over-budget"]


def templates(payload, levels):
    template = metric(payload, "Plant", DataType.TEMPLATE).template_value
    for _ in range(levels - 1):
        template.is_definition = True
        template = metric(template, "Part", DataType.TEMPLATE, timestamp=0).template_value
    template.is_definition = True


def property_sets(payload, levels):
    properties = by_name(payload, "Load").properties
    for _ in range(levels - 1):
        properties.keys.append("inner")
        properties = properties.values.add(type=DataType.PROPERTY_SET).propertyset_value
    properties.SetInParent()


@pytest.mark.parametrize("nest", [templates, property_sets])
def test_levels_beyond_the_budget_are_told_even_of_small_messages(nest):
    def rules(levels):
        traffic = Traffic()
        traffic.nbirth(edit=lambda payload: nest(payload, levels))
        return {rule for rule, _ in lint(traffic.events)}

    assert rules(COMPOSITE_NESTING) == set()
    assert rules(COMPOSITE_NESTING + 1) == {"payload-over-budget"}
