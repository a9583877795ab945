import json
import math
from contextlib import suppress

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import IiotError, InvalidValueError
from iiot.lwm2m.content import senml
from iiot.lwm2m.message import ObjectLink, Record
from iiot.lwm2m.path import Path
from lwm2m_vectors import DEVICE, records

DEVICE_HEX = (
    "90a321652f332f302f00613003744f70656e204d6f62696c6520416c6c69616e6365a200613103764c69676874776569676874"
    "204d324d20436c69656e74a20061320369333435303030313233a20061330363312e30a20063362f300201a20063362f310205"
    "a20063372f3002190ed8a20063372f3102191388a20063382f3002187da20063382f3102190384a2006139021864a200623130"
    "020fa2006431312f300200a200623133021a5182428fa20062313403662b30323a3030a200623136036155"
)
TIMED_HEX = (
    "83a321662f302f302f3022c482001a1dcd6504036c53616d706c65537472696e67"
    "a321662f302f302f3122c482001a1dcd650504f4a321662f302f302f3222c482001a1dcd6506021901c8"
)


@pytest.mark.parametrize(
    ("hexadecimal", "expected"),
    [
        (DEVICE_HEX, DEVICE),
        ("81a221662f302f302f330843abcdef", records({"/0/0/3": b"\xab\xcd\xef"})),
        ("82a321652f332f302f006139020fa2006232300204", records({"/3/0/9": 15, "/3/0/20": 4})),
        ("82a321682f333330332f302f00643537303002fb403719999999999aa2006435373031036343656c",
         records({"/3303/0/5700": 23.1, "/3303/0/5701": "Cel"})),
        ("80", ()),
    ],
)  # fmt: skip
def test_cbor_vectors_both_ways(hexadecimal, expected):
    assert senml.decode_cbor(bytes.fromhex(hexadecimal)) == expected
    assert senml.encode_cbor(expected).hex() == hexadecimal


@pytest.mark.parametrize(
    ("hexadecimal", "expected"),
    [
        ("81a202f95cb0216b2f333434322f302f313330", records({"/3442/0/130": 300.0})),
        (
            TIMED_HEX,
            (Record(Path.of(0, 0, 0), "SampleString", 500000004), Record(Path.of(0, 0, 1), False, 500000005),
             Record(Path.of(0, 0, 2), 456, 500000006)),
        ),
        (
            "83a421692f36353533352f302f221a68fa2f04006132020aa300613206183c020ba3006132061878020c",
            tuple(Record(Path.of(65535, 0, 2), 10 + i, 1761226500 + 60 * i) for i in range(3)),
        ),
        ("81a321692f36353533352f302f00613763766c6f63313a32", records({"/65535/0/7": ObjectLink(1, 2)})),
        ("9fbf00662f332f302f3902f90000ffff", records({"/3/0/9": 0.0})),
        ("81a200662f332f302f39241864", records({"/3/0/9": None})),
        ("81a300662f332f302f392418640205", records({"/3/0/9": 105})),
    ],
)  # fmt: skip
def test_cbor_that_clients_also_send(hexadecimal, expected):
    assert senml.decode_cbor(bytes.fromhex(hexadecimal)) == expected


def test_paths_of_a_composite_request():
    paths = [Path.of(3, 0, 0), Path.of(3, 0, 9), Path.of(1, 0, 1)]
    wire = "83a100662f332f302f30a100662f332f302f39a100662f312f302f31"
    assert senml.encode_paths_cbor(paths).hex() == wire
    assert senml.decode_cbor(bytes.fromhex(wire)) == tuple(map(Record, paths))
    assert senml.encode_paths_json(paths) == b'[{"n":"/3/0/0"},{"n":"/3/0/9"},{"n":"/1/0/1"}]'
    assert senml.decode_json(senml.encode_paths_json(paths)) == tuple(map(Record, paths))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"bn":"/3/0/0","vs":"Open Mobile Alliance"}]', records({"/3/0/0": "Open Mobile Alliance"})),
        (
            '[{"bn":"/3/0/7/","n":"0","v":3800},{"n":"1","v":5000}]',
            records({"/3/0/7/0": 3800, "/3/0/7/1": 5000}),
        ),
        ('[{"bn":"/0/0/3","vd":"q83v"}]', records({"/0/0/3": b"\xab\xcd\xef"})),
        ('[{"bn":"/0/0/16","v":18446744073709551615}]', records({"/0/0/16": 2**64 - 1})),
        ('[{"n":"/3/0/9","v":null},{"n":"/1/0/1","vb":true}]', records({"/3/0/9": None, "/1/0/1": True})),
    ],
)
def test_json_vectors_both_ways(text, expected):
    assert senml.decode_json(text.encode()) == expected
    assert senml.encode_json(expected).decode() == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"n":"/0/0/16","v":18446744073709551615}]', records({"/0/0/16": 2**64 - 1})),
        ('[{"bn":"/1024/0/1","bt":268500000,"v":22.9}]', (Record(Path.of(1024, 0, 1), 22.9, 268500000),)),
        (
            '[{"bn":"/72/","bt":25462634,"n":"1/2","v":22.4,"t":-5},{"n":"1/2","v":22.9,"t":-30}]',
            (Record(Path.of(72, 1, 2), 22.4, 25462629), Record(Path.of(72, 1, 2), 22.9, 25462604)),
        ),
        (
            '[{"bn":"/3/0/","n":"0","vs":"a"},{"bn":"/4/0/","n":"1","v":1}]',
            records({"/3/0/0": "a", "/4/0/1": 1}),
        ),
        ('[{"n":"/0/0/3","vd":"q83v7w==","u":"x","extra":{}}]', records({"/0/0/3": b"\xab\xcd\xef\xef"})),
        ('[{"n":"/0/0/26","vlo":"24:0"}]', records({"/0/0/26": ObjectLink(24, 0)})),
    ],
)
def test_json_that_clients_also_send(text, expected):
    assert senml.decode_json(text.encode()) == expected


@pytest.mark.parametrize(
    "text",
    ["{}", "[1]", "[", '[{"n":5}]', '[{"n":"/3/0/0","v":"x"}]', '[{"n":"/3/0/0","v":1,"vs":"x"}]',
     '[{"n":"/3","v":1}]', '[{"n":"x","v":1}]', '[{"n":"/3/0/0","vb":5}]', '[{"n":"/3/0/0","vd":"%"}]',
     '[{"n":"/3/0/0","t":"now"}]', '[{"v":1}]', '[{"n":"/3/0/0","vlo":"1"}]', '[{"n":"/3/0/0","v":true}]'],
)  # fmt: skip
def test_json_that_must_fail(text):
    with pytest.raises(IiotError):
        senml.decode_json(text.encode())


@pytest.mark.parametrize(
    "hexadecimal", ["", "a0", "8181", "8200", "81a20061300200", "81a20002fb7ff0000000000000"]
)
def test_cbor_that_must_fail(hexadecimal):
    with pytest.raises(IiotError):
        senml.decode_cbor(bytes.fromhex(hexadecimal))


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**64])
def test_numbers_that_do_not_fit_are_never_sent(value):
    with pytest.raises(InvalidValueError):
        senml.encode_json(records({"/3/0/9": value}))
    with pytest.raises(InvalidValueError):
        senml.encode_cbor(records({"/3/0/9": value}))


ids = st.integers(0, 65534)
paths = st.builds(lambda *ids: Path.of(*ids), ids, ids, ids)
links = st.builds(ObjectLink, st.integers(0, 65535), st.integers(0, 65535))
values = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary() | links
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
timed = st.lists(st.builds(Record, paths, values, st.none() | st.integers(2**28, 2**33)), max_size=6)


@given(timed)
def test_every_pack_comes_back(pack):
    assert senml.decode_cbor(senml.encode_cbor(pack)) == tuple(pack)
    assert senml.decode_json(senml.encode_json(pack)) == tuple(pack)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8)
labels = st.sampled_from([-2, -3, -5, 0, 1, 2, 3, 4, 6, 8, "vlo", "bn", "n", "v", "vs", "t"])
packs = st.lists(st.dictionaries(labels, leaves | st.just("/3/0/9"), max_size=4) | leaves, max_size=4)


@given(packs.map(cbor2.dumps) | st.binary(max_size=60))
def test_hostile_cbor_raises_only_our_errors(payload):
    with suppress(IiotError):
        senml.decode_cbor(payload)


json_leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
json_labels = st.sampled_from(["bn", "bt", "bv", "n", "t", "v", "vs", "vb", "vd", "vlo"])
json_packs = st.lists(st.dictionaries(json_labels, json_leaves | st.just("/3/0/9"), max_size=4), max_size=4)


@given(json_packs.map(lambda pack: json.dumps(pack).encode()) | st.binary(max_size=60))
def test_hostile_json_raises_only_our_errors(payload):
    with suppress(IiotError):
        senml.decode_json(payload)
