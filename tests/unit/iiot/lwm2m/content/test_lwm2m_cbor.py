from contextlib import suppress

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import IiotError, InvalidValueError
from iiot.lwm2m.content import lwm2m_cbor
from iiot.lwm2m.message import ObjectLink, Record
from iiot.lwm2m.path import Path
from lwm2m_vectors import DEVICE, records

DEVICE_HEX = (
    "a1820300ad00744f70656e204d6f62696c6520416c6c69616e636501764c69676874776569676874204d324d20436c69656e74"
    "0269333435303030313233"
    "0363312e3006a20001010507a200190ed80119138808a200187d011903840918640a0f0ba100000d1a5182428f0e662b30323a3030106155"
)
SERVERS = {
    "0": (101, 102),
    "1": (86400, 86400),
    "2": (300, 600),
    "3": (6000, 6000),
    "5": (86400, 86400),
    "6": (True, False),
    "7": ("U", "U"),
}


@pytest.mark.parametrize(
    ("hexadecimal", "expected"),
    [
        ("a183030000744f70656e204d6f62696c6520416c6c69616e6365", records({"/3/0/0": "Open Mobile Alliance"})),
        ("a183030006a200010105", records({"/3/0/6/0": 1, "/3/0/6/1": 5})),
        ("a2820300a200744f70656e204d6f62696c6520416c6c69616e6365091864830100011a00015180",
         records({"/3/0/0": "Open Mobile Alliance", "/3/0/9": 100, "/1/0/1": 86400})),
        ("a182190ce700a2191644fb403719999999999a1916456343656c",
         records({"/3303/0/5700": 23.1, "/3303/0/5701": "Cel"})),
        ("a0", ()),
    ],
)  # fmt: skip
def test_vectors_both_ways(hexadecimal, expected):
    assert lwm2m_cbor.decode(bytes.fromhex(hexadecimal)) == expected
    assert lwm2m_cbor.encode(expected).hex() == hexadecimal


def test_the_whole_device_object():
    payload = bytes.fromhex(DEVICE_HEX)
    assert len(payload) == 118
    assert lwm2m_cbor.decode(payload) == DEVICE
    # Ours says the single error code as [11, 0]: 0, the specification's example as 11: {0: 0}: as long.
    assert len(lwm2m_cbor.encode(DEVICE)) == len(payload)
    assert lwm2m_cbor.decode(lwm2m_cbor.encode(DEVICE)) == DEVICE


def test_two_server_instances():
    wire = (
        "a101a200a7001865011a000151800219012c03191770051a0001518006f507615501"
        "a7001866011a000151800219025803191770051a0001518006f4076155"
    )
    expected = records(
        {f"/1/{instance}/{name}": pair[instance] for instance in (0, 1) for name, pair in SERVERS.items()}
    )
    assert lwm2m_cbor.decode(bytes.fromhex(wire)) == expected
    assert lwm2m_cbor.encode(expected).hex() == wire


def test_create_with_and_without_an_instance_id():
    chosen = "a1820205a4000501008202186600031865"
    open_id = chosen.replace("820205", "820219ffff")
    decoded = lwm2m_cbor.decode(bytes.fromhex(chosen))
    assert [str(record.path) for record in decoded] == ["/2/5/0", "/2/5/1", "/2/5/2/102", "/2/5/3"]
    assert [record.path.ids[1] for record in lwm2m_cbor.decode(bytes.fromhex(open_id))] == [65535] * 4
    assert lwm2m_cbor.encode(lwm2m_cbor.decode(bytes.fromhex(open_id))).hex() == open_id


@pytest.mark.parametrize(
    ("hexadecimal", "path", "value"),
    [
        ("a103a100a100744f70656e204d6f62696c6520416c6c69616e6365", "/3/0/0", "Open Mobile Alliance"),
        ("bf03bf00bf091864ffffff", "/3/0/9", 100),
        ("a19f030009ff1864", "/3/0/9", 100),
        ("a18103a18100a181091864", "/3/0/9", 100),
        ("a183190d720018a0c11a5182428f", "/3442/0/160", 1367491215),
        ("a183190d720018a0c074323031332d30352d30325431303a34303a31355a", "/3442/0/160", 1367491215),
        ("a183030009f6", "/3/0/9", None),
    ],
)
def test_other_forms_of_the_same(hexadecimal, path, value):
    assert lwm2m_cbor.decode(bytes.fromhex(hexadecimal)) == records({path: value})


@pytest.mark.parametrize(
    "hexadecimal",
    ["8100", "05", "f6", "", "a1f93c0005", "a12005", "a185030006000005", "a18303001a0001000005", "a18005",
     "a1820300f6", "a18303000080", "a1f500", "a18403000619ffff05", "d81c81d81d00"],
)  # fmt: skip
def test_what_must_fail(hexadecimal):
    with pytest.raises(IiotError):
        lwm2m_cbor.decode(bytes.fromhex(hexadecimal))


def test_object_links_travel_as_text_and_large_numbers_not_at_all():
    assert lwm2m_cbor.encode(records({"/0/0/26": ObjectLink(24, 0)})).hex().endswith("6432343a30")
    with pytest.raises(InvalidValueError):
        lwm2m_cbor.encode(records({"/3/0/9": 2**64}))


ids = st.integers(0, 65534)
paths = st.builds(lambda *ids: Path.of(*ids), ids, ids, ids)
values = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary()
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip


@given(st.dictionaries(paths, values, max_size=8))
def test_every_tree_comes_back(tree):
    payload = lwm2m_cbor.encode(Record(path, value) for path, value in tree.items())
    assert {record.path: record.value for record in lwm2m_cbor.decode(payload)} == tree


keys = st.integers(-2, 70000) | st.lists(st.integers(0, 6), max_size=5).map(tuple) | st.text(max_size=2)
trees = st.recursive(
    values, lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=2)
)


@given(trees.map(cbor2.dumps) | st.binary(max_size=60))
def test_hostile_bytes_raise_only_our_errors(payload):
    with suppress(IiotError):
        lwm2m_cbor.decode(payload)
