import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import InvalidValueError
from iiot.sparkplug.composite import DataSet, MetaData, Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.metric_json import metadata_to_json, properties_to_json, value_from_json, value_to_json
from iiot.sparkplug.payload import Metric, Parameter, Template
from sparkplug_strategies import PLAIN, VALUES, datasets


@pytest.mark.parametrize("datatype", PLAIN)
@given(data=st.data())
def test_plain_values_survive_json(datatype, data):
    value = data.draw(VALUES[datatype].filter(lambda value: "inf" not in str(value)))
    assert value_from_json(datatype, orjson.loads(orjson.dumps(value_to_json(value)))) == value


@given(datasets())
def test_a_dataset_is_an_object(dataset):
    shown = orjson.loads(orjson.dumps(value_to_json(dataset)))
    assert shown["types"] == [datatype.label for datatype in dataset.types]
    assert len(shown["rows"]) == len(dataset.rows)
    if all(cell == cell and abs(cell) != math.inf for cell in numbers(dataset)):
        assert value_from_json(DataType.DATA_SET, shown) == dataset


def numbers(dataset):
    return [cell for row in dataset.rows for cell in row if isinstance(cell, float)]


MOTOR = Template(
    [Metric("Speed", 5, DataType.INT8), Metric("Log", b"ab", DataType.BYTES)],
    [Parameter("Size", DataType.STRING, "XL")],
    ref="Motor",
    version="1",
)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (value_to_json(MOTOR), MOTOR),
        (
            {"metrics": [{"name": "Speed", "value": -1}]},
            Template([Metric("Speed", -1, DataType.INT8)], ref="Motor", version="1"),
        ),
        (
            {"parameters": [{"name": "Size", "value": "S"}], "ref": "Other"},
            Template([], [Parameter("Size", DataType.STRING, "S")], ref="Other", version="1"),
        ),
        (
            {"metrics": [{"name": "Speed", "type": "Int16", "value": 300}]},
            Template([Metric("Speed", 300, DataType.INT16)], ref="Motor", version="1"),
        ),
    ],
)
def test_a_template_is_read_with_the_types_of_the_current_value(written, read):
    assert value_from_json(DataType.TEMPLATE, written, like=MOTOR) == read


def test_a_template_is_an_object():
    template = Template(
        [Metric("Speed", 5, DataType.INT8)], [Parameter("Size", DataType.STRING, "XL")], ref="Motor"
    )
    assert value_to_json(template) == {
        "ref": "Motor",
        "version": None,
        "is_definition": False,
        "metrics": [{"name": "Speed", "type": "Int8", "value": 5}],
        "parameters": [{"name": "Size", "type": "String", "value": "XL"}],
    }


def test_properties_and_metadata_are_objects():
    inner = {"Low": Property(DataType.DOUBLE, 1.5)}
    shown = properties_to_json(
        {
            "engUnit": Property(DataType.STRING, "Cel"),
            "Range": Property(DataType.PROPERTY_SET, inner),
            "Alarms": Property(DataType.PROPERTY_SET_LIST, [inner, {}]),
        }
    )
    assert shown == {"engUnit": "Cel", "Range": {"Low": 1.5}, "Alarms": [{"Low": 1.5}, {}]}
    assert metadata_to_json(MetaData(size=5, description="log")) == {"size": 5, "description": "log"}


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.INT8, 300),
        (DataType.INT8, "5"),
        (DataType.BYTES, "not base64!"),
        (DataType.BYTES, 5),
        (DataType.DATA_SET, {"columns": []}),
        (DataType.DATA_SET, 5),
        (DataType.DATA_SET, {"columns": ["a"], "types": [], "rows": []}),
        (DataType.DATA_SET, {"columns": [1], "types": ["Int8"], "rows": []}),
        (DataType.DATA_SET, {"columns": ["a"], "types": ["Int9"], "rows": []}),
        (DataType.DATA_SET, {"columns": ["a"], "types": ["Template"], "rows": []}),
        (DataType.DATA_SET, {"columns": ["a"], "types": ["Int8"], "rows": [[1, 2]]}),
        (DataType.DATA_SET, {"columns": ["a"], "types": ["Int8"], "rows": [["x"]]}),
        (DataType.DATA_SET, {"columns": ["a"], "types": ["Int8"], "rows": 1}),
        (DataType.TEMPLATE, []),
        (DataType.TEMPLATE, {"metrics": []}),
        (DataType.TEMPLATE, {"ref": "Motor", "is_definition": True}),
        (DataType.TEMPLATE, {"ref": "Motor", "metrics": [{"name": "x", "value": 1}]}),
        (DataType.TEMPLATE, {"ref": "Motor", "metrics": [{"name": "x", "type": "Int8", "value": 1e9}]}),
        (DataType.TEMPLATE, {"ref": "Motor", "metrics": [{"type": "Int8", "value": 1}]}),
        (DataType.TEMPLATE, {"ref": "Motor", "metrics": {"x": 1}}),
        (DataType.INT8_ARRAY, [1, 300]),
        (DataType.STRING, ["a"]),
    ],
)
def test_json_that_the_datatype_cannot_hold_is_refused(datatype, value):
    with pytest.raises(InvalidValueError, match="allowed"):
        value_from_json(datatype, value)


def test_null_is_null():
    assert value_from_json(DataType.INT8, None) is None
    assert value_to_json(DataSet([], [], [])) == {"columns": [], "types": [], "rows": []}


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.DATA_SET, {"columns": ["\ud800"], "types": ["Int8"], "rows": []}),
        (DataType.TEMPLATE, {"ref": "\ud800"}),
        (DataType.TEMPLATE, {"ref": "t", "metrics": [{"name": "\ud800", "type": "Int8", "value": 1}]}),
        (DataType.TEMPLATE, {"ref": "t", "parameters": [{"name": "\ud800", "type": "Int8", "value": 1}]}),
    ],
)
def test_names_that_are_no_unicode_are_refused_like_values(datatype, value):
    with pytest.raises(InvalidValueError, match="text"):
        value_from_json(datatype, value)
