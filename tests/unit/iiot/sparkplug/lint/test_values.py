"""Values judged by their datatype: faults of every kind, and the variants that peers may send."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import DecodeError
from iiot.sparkplug.datatypes import CARRIERS, DataType, decode_value, encode_value
from iiot.sparkplug.lint.values import fault_of
from sparkplug_breaches import both, dataset, setting, template, with_properties
from sparkplug_strategies import PLAIN, VALUES
from sparkplug_traffic import START, Traffic, by_name, lint, metric

RANGE, FORM, FIELD = "value-out-of-range", "value-malformed", "value-of-other-type"
UUID = "0191e0f4-7d3a-7cc0-9a3b-0f5c8d2e1a77"


@given(st.sampled_from(PLAIN).flatmap(lambda datatype: st.tuples(st.just(datatype), VALUES[datatype])))
def test_what_the_own_encoder_makes_is_never_a_fault(pair):
    datatype, value = pair

    assert fault_of(datatype, CARRIERS[datatype], encode_value(datatype, value)) is None


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.INT8, 300),
        (DataType.INT8, 256),
        (DataType.INT8, 0xFFFF_FF7F),  # -129
        (DataType.INT8, 0xFF80),
        (DataType.INT16, 70_000),
        (DataType.INT16, 0xFFFF_7FFF),
        (DataType.INT32, 1 << 32),
        (DataType.INT32, (1 << 64) - (1 << 31) - 1),
        (DataType.UINT8, 256),
        (DataType.UINT8, 0xFFFF_FFFF),
        (DataType.UINT16, 65_536),
        (DataType.UINT32, 1 << 32),
        (DataType.BOOLEAN, 2),
    ],
)
def test_a_number_beyond_its_type_is_told(datatype, value):
    fault = fault_of(datatype, "long_value", value)

    assert fault.key == RANGE
    assert str(value) in fault.detail
    assert datatype.label in fault.detail


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.INT8, -87 & 0xFF),
        (DataType.INT8, -87 & 0xFFFF_FFFF),
        (DataType.INT8, -87 & 0xFFFF_FFFF_FFFF_FFFF),
        (DataType.INT8, -128 & 0xFFFF_FFFF),
        (DataType.INT16, -3 & 0xFFFF),
        (DataType.INT16, -3 & 0xFFFF_FFFF),
        (DataType.INT32, -1 & 0xFFFF_FFFF_FFFF_FFFF),
        (DataType.INT64, -1 & 0xFFFF_FFFF_FFFF_FFFF),
        (DataType.UINT32, (1 << 32) - 1),
        (DataType.BOOLEAN, 1),
        (DataType.DATE_TIME, (1 << 64) - 1),
    ],
)
def test_negative_numbers_may_have_their_sign_in_any_width(datatype, value):
    assert fault_of(datatype, "long_value", value) is None
    assert value >= 1 << 32 or fault_of(datatype, "int_value", value) is None


@pytest.mark.parametrize(
    ("datatype", "raw"),
    [
        (DataType.INT16_ARRAY, b"\1\2\3"),
        (DataType.UINT16_ARRAY, b"\1"),
        (DataType.INT32_ARRAY, b"\1\2\3\4\5"),
        (DataType.UINT32_ARRAY, b"\1\2"),
        (DataType.FLOAT_ARRAY, b"\1\2\3"),
        (DataType.INT64_ARRAY, bytes(12)),
        (DataType.UINT64_ARRAY, bytes(7)),
        (DataType.DOUBLE_ARRAY, bytes(20)),
        (DataType.DATE_TIME_ARRAY, bytes(6)),
        (DataType.BOOLEAN_ARRAY, b""),
        (DataType.BOOLEAN_ARRAY, b"\0\0\0"),
        (DataType.BOOLEAN_ARRAY, struct.pack("<I", 9) + b"\xff"),
        (DataType.BOOLEAN_ARRAY, struct.pack("<I", 8) + b"\xff\xff"),
        (DataType.BOOLEAN_ARRAY, struct.pack("<I", 0xFFFF_FFFF)),
        (DataType.STRING_ARRAY, b"a\0b"),
        (DataType.STRING_ARRAY, b"a"),
        (DataType.STRING_ARRAY, b"\xff\0"),
        (DataType.UUID, ""),
        (DataType.UUID, "12-34"),
        (DataType.UUID, UUID.replace("-", "")),
        (DataType.UUID, f"{{{UUID}}}"),
        (DataType.UUID, UUID.replace("a", "g")),
        (DataType.STRING, b"\xff"),
        (DataType.TEXT, b"\xff"),
    ],
)
def test_an_array_or_text_of_another_form_is_told(datatype, raw):
    fault = fault_of(datatype, CARRIERS[datatype], raw)

    assert fault.key == FORM
    assert datatype.label in fault.detail


@pytest.mark.parametrize("text", [UUID, UUID.upper(), "0" * 8 + "-0000" * 3 + "-" + "0" * 12])
def test_a_uuid_may_be_of_any_version_and_case(text):
    assert fault_of(DataType.UUID, "string_value", text) is None


@pytest.mark.parametrize(
    ("datatype", "carrier", "raw"),
    [
        (DataType.INT32, "string_value", "q"),
        (DataType.INT32, "double_value", 1.5),
        (DataType.FLOAT, "double_value", 1.5),
        (DataType.STRING, "bytes_value", b"q"),
        (DataType.INT8_ARRAY, "string_value", "q"),
        (DataType.DATE_TIME, "string_value", "2026-11-30"),
        (DataType.BOOLEAN, "string_value", "true"),
        (DataType.DATA_SET, "string_value", "q"),
        (DataType.TEMPLATE, "dataset_value", None),
        (DataType.PROPERTY_SET, "string_value", "q"),
    ],
)
def test_a_value_in_the_field_of_another_type_is_told(datatype, carrier, raw):
    assert fault_of(datatype, carrier, raw).key == FIELD


def rules_of(edit, data=None, node=None):
    """What the linter says of births whose DBIRTH is edited, with DDATA after them."""
    traffic = Traffic()
    traffic.nbirth(edit=node)
    traffic.dbirth(edit)
    if data is not None:
        traffic.ddata(data)
    return {rule for rule, _ in lint(traffic.events)}


def adds(name, datatype, **value):
    return lambda payload: metric(payload, name, datatype, **value)


def sends(name, **value):
    """Adds a metric without datatype to data."""
    return adds(name, None, **value)


SMALL = adds("Small", DataType.UINT8, int_value=1)
FLAGS = adds("Flags", DataType.BOOLEAN_ARRAY, bytes_value=struct.pack("<I", 1) + b"\x80")


@pytest.mark.parametrize(
    ("edit", "data", "rule"),
    [
        (SMALL, sends("Small", int_value=300), RANGE),
        (FLAGS, sends("Flags", bytes_value=struct.pack("<I", 20) + b"\x80"), FORM),
        (adds("Id", DataType.UUID, string_value=UUID), sends("Id", string_value="x"), FORM),
        (SMALL, sends("Small", double_value=1.0), FIELD),
    ],
)
def test_a_value_in_data_is_judged_by_the_datatype_of_the_birth(edit, data, rule):
    assert rules_of(edit, data) == {rule}


@pytest.mark.parametrize("datatype", [DataType.STRING, DataType.INT64, DataType.UINT16, DataType.BOOLEAN])
def test_a_datatype_in_data_that_is_not_that_of_the_birth_is_an_error(datatype):
    data = {DataType.STRING: {"string_value": "q"}, DataType.BOOLEAN: {"boolean_value": True}}.get(
        datatype, {"int_value": 7}
    )
    found = rules_of(SMALL, adds("Small", datatype, **data))

    assert found == {"datatype-not-of-birth", "datatype-in-data"}


def test_a_datatype_in_data_that_repeats_the_birth_is_advice_only():
    assert rules_of(SMALL, adds("Small", DataType.UINT8, int_value=7)) == {"datatype-in-data"}


def test_a_command_is_held_against_the_datatype_of_the_birth():
    traffic = Traffic()
    traffic.births()
    traffic.command("Level", setting("Level", datatype=DataType.STRING), device="dev", string_value="5")
    traffic.command("Level", device="dev", string_value="5")
    traffic.command("Load", double_value=1.0)

    assert {rule for rule, _ in lint(traffic.events)} == {"datatype-not-of-birth", "datatype-in-data", FIELD}


def with_property(name="Level", key="limit", **entry):
    def edit(payload):
        properties = by_name(payload, name).properties
        properties.keys.append(key)
        properties.values.add(**entry)

    return edit


LIMIT = with_property(type=DataType.INT8, int_value=5)


@pytest.mark.parametrize(
    "edit",
    [
        with_property(type=DataType.UINT8, int_value=300),
        with_property(type=DataType.INT32, string_value="q"),
        with_property(type=DataType.UUID, string_value="q"),
        with_property(type=DataType.STRING),
        with_property(type=DataType.STRING, is_null=True, string_value="q"),
        with_property(type=DataType.PROPERTY_SET, string_value="q"),
        with_property(type=DataType.BOOLEAN, int_value=2),
    ],
)
def test_a_property_whose_value_is_not_of_its_type_is_told(edit):
    assert rules_of(edit) == {"property-value"}


def test_properties_in_data_are_judged_by_the_birth():
    assert rules_of(LIMIT, with_property(int_value=300)) == {"property-value"}
    assert rules_of(LIMIT, with_property(type=DataType.STRING, string_value="q")) == {"datatype-not-of-birth"}
    assert rules_of(LIMIT, with_property(int_value=7)) == set()
    assert rules_of(LIMIT, with_property(key="new", type=DataType.STRING, string_value="q")) == set()


def test_properties_inside_a_property_set_are_judged():
    def fill(properties):
        properties.keys.append("limits")
        inner = properties.values.add(type=DataType.PROPERTY_SET).propertyset_value
        inner.keys.append("high")
        inner.values.add(type=DataType.UINT8, int_value=300)

    traffic = Traffic()
    traffic.nbirth(edit=with_properties(fill))

    assert {rule for rule, _ in lint(traffic.events)} == {"property-value"}


@pytest.mark.parametrize(
    ("types", "rule"),
    [
        ([DataType.STRING], "dataset-cell-value"),
        ([DataType.DOUBLE], "dataset-cell-value"),
        ([DataType.DATE_TIME], None),  # both integers are read
        ([DataType.BOOLEAN], None),
        ([DataType.DATA_SET], "dataset-type-invalid"),
        ([99], "dataset-type-invalid"),
    ],
)
def test_cells_are_judged_by_the_type_of_their_column(types, rule):
    assert rules_of(dataset(types=types)) == ({rule} if rule else set())


def member(**values):
    """A definition whose member `Speed` is a UInt8, and an instance in the DBIRTH with other values."""

    def edit(payload):
        speed = by_name(by_name(payload, "Drive").template_value, "Speed")
        for name, value in values.items():
            speed.ClearField(name) if value is None else setattr(speed, name, value)

    return both(template("Drive", kind=False, ref="Motor"), edit)


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        ({"datatype": DataType.UINT8, "int_value": 300}, {RANGE, "datatype-not-of-birth"}),
        ({"datatype": DataType.DOUBLE, "double_value": 0.5}, {"datatype-not-of-birth"}),
        ({"datatype": None, "string_value": "q"}, {FIELD}),
        ({"datatype": 99}, {"datatype-invalid"}),
        ({"datatype": None}, set()),  # the definition says it
        ({"is_null": True}, {"null-with-value"}),
    ],
)
def test_members_of_a_template_are_judged_as_metrics_are(values, rules):
    assert rules_of(member(**values), node=template()) == rules


def test_a_template_inside_a_template_is_judged():
    def nest(payload):
        outer = metric(payload, "Plant", DataType.TEMPLATE).template_value
        outer.is_definition = True
        inner = metric(outer, "Motor", DataType.TEMPLATE, timestamp=START).template_value
        inner.is_definition, inner.template_ref = False, "Motor"
        metric(inner, "Speed", DataType.INT32, timestamp=START, int_value=1)
        metric(inner, "Names", DataType.STRING_ARRAY, timestamp=START, bytes_value=b"a")

    traffic = Traffic()
    traffic.nbirth(edit=nest)

    assert {rule for rule, _ in lint(traffic.events)} == {FORM}


@pytest.mark.parametrize(
    "first",
    [{"type": DataType.UINT8, "int_value": 300}, {"type": DataType.UUID, "string_value": "q"}],
)
def test_parameters_of_a_template_are_judged_by_their_type(first):
    traffic = Traffic()
    traffic.nbirth(edit=template(**first))

    assert {rule for rule, _ in lint(traffic.events)} == {"template-parameter-value"}


def test_parameters_are_judged_by_the_definition_in_data():
    drive = template("Drive", kind=False, ref="Motor", members=())

    def only(**entry):
        def edit(payload):
            payload.metrics.pop(0)
            drive(payload)
            sent = by_name(payload, "Drive")
            sent.ClearField("datatype")
            parameter = sent.template_value.parameters[0]
            parameter.ClearField("type")
            for name, value in entry.items():
                setattr(parameter, name, value)

        return edit

    birth = template("Drive", kind=False, ref="Motor")
    assert rules_of(birth, only(int_value=4), node=template()) == {"template-parameter-value"}
    assert rules_of(birth, only(string_value="x"), node=template()) == set()
    assert rules_of(birth, only(type=3, int_value=4), node=template()) == {"datatype-not-of-birth"}


CARRIED = {
    "int_value": st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2, 255, 256, 2**31, 2**32 - 1]),
    "long_value": st.integers(0, 2**64 - 1) | st.sampled_from([0, 2, 2**32, 2**63, 2**64 - 1]),
    "float_value": st.floats(width=32),
    "double_value": st.floats(),
    "boolean_value": st.booleans(),
    "string_value": st.text(max_size=40) | st.just(b"\xff") | st.uuids().map(str),
    "bytes_value": st.binary(max_size=20),
}


@given(
    st.sampled_from(PLAIN),
    st.sampled_from(list(CARRIED)).flatmap(lambda carrier: st.tuples(st.just(carrier), CARRIED[carrier])),
)
def test_what_readers_refuse_is_a_fault(datatype, carried):
    carrier, raw = carried
    try:
        decode_value(datatype, raw)
    except DecodeError:
        assert fault_of(datatype, carrier, raw) is not None
