import tracemalloc
from time import process_time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import heaviest
from iiot import json_input
from iiot.budgets import ELEMENTS, NESTING, BudgetError
from iiot.errors import DecodeError

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.text(':,[]{}"\\ab', max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(':"\\a', max_size=3), inner)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_ordinary_json_is_read_as_it_is(value):
    assert json_input.loads(orjson.dumps(value)) == value


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":1,"a":2}', b'{"a":1,"\\u0061":2}', b'[{"b":{"a":1,"c":":","a":1}}]', b'{"":1,"":1}',
        b'{"a":1 , "a" : 2}', b'{"a":":","a":":"}',
    ],
)  # fmt: skip
def test_a_name_stands_once_in_an_object(payload):
    with pytest.raises(DecodeError, match="stands twice"):
        json_input.loads(payload)
    assert json_input.loads(b'{"a":{"a":1},"b":{"a":":"}}') == {"a": {"a": 1}, "b": {"a": ":"}}


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_levels_are_counted_outside_of_strings(opening, closing):
    levels = 1 + (len(opening) > 5)
    deepest = NESTING // levels
    assert json_input.loads(opening * deepest + b"1" + closing * deepest)
    with pytest.raises(BudgetError) as refused:
        json_input.loads(opening * (deepest + 1) + b"1" + closing * (deepest + 1))
    assert (refused.value.budget, refused.value.limit) == ("levels of JSON", NESTING)
    assert json_input.loads(b'["' + b"[" * 5000 + b'\\"' + b"{" * 5000 + b'"]')


def test_many_values_side_by_side_are_no_levels():
    assert len(json_input.loads(b"[" + b"[]," * 200 + b"[]]")) == 201


def test_elements_are_counted_before_they_are_made():
    assert len(json_input.loads(b"[" + b"1," * (ELEMENTS - 2) + b"1]")) == ELEMENTS - 1
    for payload in (b"[" + b"1," * ELEMENTS + b"1]", b"[" + b"[]," * ELEMENTS + b"1]", b"[" * (ELEMENTS + 1)):
        with pytest.raises(BudgetError) as refused:
            json_input.loads(payload)
        assert refused.value.budget == "elements"
    assert json_input.loads(b'["' + b"," * 2 * ELEMENTS + b'"]')


@pytest.mark.parametrize("payload", [b"", b"{", b"NaN", b"1e999", b"[1,]", b"\xff", b"9" * 400])
def test_what_is_no_json(payload):
    with pytest.raises(DecodeError):
        json_input.loads(payload)


@pytest.mark.parametrize("end", [b"", b"\\"])
def test_a_string_without_an_end_is_looked_at_once(end):
    # A pass from each of its quotes takes hours for 1 MiB.
    before = process_time()
    with pytest.raises(DecodeError):
        json_input.loads(b"[" * (NESTING + 1) + b'"' + b'\\"' * 50_000 + end)
    assert process_time() - before < 2


REFUSED = ("nested arrays", "nested objects", "small numbers", "wrong paths", "one key many times", "no JSON")


@pytest.mark.parametrize("shape", REFUSED)
def test_what_holds_too_many_values_is_refused_before_anything_is_made_of_it(shape):
    payload = heaviest.LWM2M_JSON[shape]
    tracemalloc.start()
    try:
        with pytest.raises(BudgetError, match="elements"):
            json_input.loads(payload)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()
