"""Budgets of Sparkplug payloads: what is beyond costs little, and what is inside passes."""

import gzip
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot._pb.sparkplug_b_pb2 import Payload as Message
from iiot.budgets import BudgetError
from iiot.errors import DecodeError
from iiot.sparkplug.compression import decompress
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import decode_payload, encode_payload, read_message
from iiot.sparkplug.wire import PayloadBudget, check_budget
from sparkplug_hostile import HOSTILE, array, envelope, field, metric, properties, template
from sparkplug_strategies import payloads

MIB = 1 << 20
GENEROUS = 0.5
"""s of CPU; each takes some ms, but the machine may be busy, and it was seconds to minutes before."""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_payload_beyond_the_budget_is_refused_at_little_cost(name):
    data = HOSTILE[name]
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(DecodeError) as refusal:
            decode_payload(data)
        spent, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(refusal.value, BudgetError) or "envelope in an envelope" in name
    assert peak < 4 * MIB + len(data)
    assert spent < GENEROUS


def test_a_refusal_names_what_there_is_too_much_of():
    budget = PayloadBudget(metrics=3)
    with pytest.raises(BudgetError, match="more than 3 metrics") as refusal:
        decode_payload(b"\x12\x00" * 4, budget)
    assert (refusal.value.budget, refusal.value.limit) == ("metrics", 3)
    assert len(decode_payload(b"\x12\x00" * 3, budget).metrics) == 3


MEMBER = b"\x12\x00"
SHORT, LONG = (envelope(zlib.compress(b"\x08\x01" * count)) for count in (4, 5))


@pytest.mark.parametrize(
    ("budget", "fits", "exceeds"),
    [
        (PayloadBudget(elements=5), template(MEMBER * 5), template(MEMBER * 6)),
        (PayloadBudget(elements=5), properties(b"\x0a\0\x12\0" * 5), properties(b"\x0a\0\x12\0" * 6)),
        (PayloadBudget(entries=16), array(22, bytes(16)), array(22, bytes(17))),
        (PayloadBudget(nesting=1), template(b""), template(template(b""))),
        (PayloadBudget(inflated=9), SHORT, LONG),
    ],
)
def test_each_limit_is_the_last_that_fits(budget, fits, exceeds):
    decode_payload(fits, budget)
    with pytest.raises(BudgetError):
        decode_payload(exceeds, budget)


def test_the_walk_and_the_decoder_count_levels_alike():
    for levels in (16, 17):
        data = b""
        for _ in range(levels):
            data = template(data)
        results = []
        for one in (data, data + b"\x08\x01" * 50_000):
            try:
                decode_payload(one)
                results.append("fits")
            except BudgetError as exc:
                results.append(exc.budget)
        assert results == (["fits"] * 2 if levels == 16 else ["nested levels"] * 2)


@given(payloads)
def test_every_payload_of_the_encoder_passes_a_walk(payload):
    data = encode_payload(payload)
    check_budget(data, PayloadBudget(metrics=max(1, len(payload.metrics)), elements=10_000))


@given(payloads)
def test_the_walk_counts_metrics_exactly(payload):
    data = encode_payload(payload)
    if len(payload.metrics) > 1:
        with pytest.raises(BudgetError, match="metrics"):
            check_budget(data, PayloadBudget(metrics=len(payload.metrics) - 1, elements=10_000, nesting=99))


@given(st.binary(max_size=300), st.integers(1, 20), st.integers(1, 20))
def test_what_the_walk_lets_pass_holds_no_more_than_it_says(data, metrics, elements):
    budget = PayloadBudget(metrics=metrics, elements=elements)
    try:
        message = read_message(data, budget)
    except DecodeError:
        return
    assert len(message.metrics) <= metrics
    parts = sum(len(one.template_value.metrics) + len(one.properties.values) for one in message.metrics)
    assert parts <= elements


@given(
    st.lists(st.sampled_from([b"\x12\x00", b"\x92\x00\x00", b"\x08\x01", b"\x7b\x7c", b"\x12\x02\x10\x01"]))
)
def test_the_walk_finds_the_metrics_that_protobuf_finds(parts):
    data = b"".join(parts)
    found = len(Message.FromString(data).metrics)
    check_budget(data, PayloadBudget(metrics=max(1, found), elements=300))
    if found > 1:
        with pytest.raises(BudgetError):
            check_budget(data, PayloadBudget(metrics=found - 1, elements=300))


def test_the_largest_births_pass():
    message = Message(timestamp=1, seq=0)
    for number in range(20_000):
        message.metrics.add(
            name=f"Line/Cell{number}/Temperature", datatype=DataType.FLOAT, float_value=number
        )
    data = message.SerializeToString()
    assert len(data) > MIB // 2
    assert len(decode_payload(data).metrics) == 20_000


def test_a_large_array_passes():
    (metric,) = decode_payload(array(int(DataType.FLOAT_ARRAY), bytes(MIB - 64))).metrics
    assert len(metric.value) == (MIB - 64) // 4


def test_all_members_of_a_gzip_body_are_read():
    halves = metric(field(1, b"a")), metric(field(1, b"b"))
    body = b"".join(map(gzip.compress, halves))
    assert [one.name for one in decode_payload(envelope(body)).metrics] == ["a", "b"]


def test_the_algorithm_that_tahu_names_beside_the_body_is_not_a_metric_of_the_payload():
    beside = metric(field(1, b"algorithm") + b"\x20\x0c" + field(15, b"GZIP"))
    data = beside + envelope(gzip.compress(metric(field(1, b"a"))))
    assert [one.name for one in decode_payload(data).metrics] == ["a"]


@pytest.mark.parametrize(
    "body",
    [b"", b"plain", zlib.compress(b"x" * 99)[:-6], gzip.compress(b"x")[:-1]],
    ids=["nothing", "plain", "zlib", "gzip"],
)
def test_bodies_cut_short_are_refused(body):
    with pytest.raises(DecodeError, match=r"cut short|cannot be read"):
        decompress(body)


def test_inflating_stops_at_the_limit():
    body = zlib.compress(bytes(64 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(BudgetError, match="more than 1048576 inflated bytes"):
            decompress(body)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
