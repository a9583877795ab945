"""Hypothesis strategies for Sparkplug values, metrics and payloads."""

from hypothesis import strategies as st

from iiot.sparkplug.composite import DataSet, MetaData, Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Parameter, Payload, Template

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
times = st.integers(0, 2**63 - 1)


def _integers(bits, signed):
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


_SIZES = {
    DataType.INT8: (8, True),
    DataType.INT16: (16, True),
    DataType.INT32: (32, True),
    DataType.INT64: (64, True),
    DataType.UINT8: (8, False),
    DataType.UINT16: (16, False),
    DataType.UINT32: (32, False),
    DataType.UINT64: (64, False),
    DataType.DATE_TIME: (64, False),
}
_floats = st.floats(allow_nan=False, width=32)
_doubles = st.floats(allow_nan=False)


def _tuples(values):
    return st.lists(values, max_size=20).map(tuple)


VALUES = {
    **{datatype: _integers(*size) for datatype, size in _SIZES.items()},
    DataType.FLOAT: _floats,
    DataType.DOUBLE: _doubles,
    DataType.BOOLEAN: st.booleans(),
    DataType.STRING: texts,
    DataType.TEXT: texts,
    DataType.UUID: st.uuids().map(str),
    DataType.BYTES: st.binary(max_size=20),
    DataType.FILE: st.binary(max_size=20),
    **{
        DataType[f"{datatype.name}_ARRAY"]: _tuples(_integers(*size))
        for datatype, size in _SIZES.items()
    },
    DataType.FLOAT_ARRAY: _tuples(_floats),
    DataType.DOUBLE_ARRAY: _tuples(_doubles),
    DataType.BOOLEAN_ARRAY: _tuples(st.booleans()),
    DataType.STRING_ARRAY: _tuples(texts.filter(lambda text: "\0" not in text)),
}  # fmt: skip
"""What each plain datatype can hold."""

PLAIN = sorted(VALUES)
_CELLS = [datatype for datatype in PLAIN if datatype <= DataType.UUID]


@st.composite
def datasets(draw):
    types = draw(st.lists(st.sampled_from(_CELLS), max_size=4))
    row = st.tuples(*(st.none() | VALUES[datatype] for datatype in types))
    return DataSet([f"column {i}" for i in range(len(types))], types, draw(st.lists(row, max_size=3)))


def _typed(build, types=PLAIN):
    return st.sampled_from(types).flatmap(lambda datatype: build(datatype, st.none() | VALUES[datatype]))


def _property_sets(values):
    return st.dictionaries(texts, values, max_size=2)


plain_properties = _typed(lambda datatype, values: st.builds(Property, st.just(datatype), values), _CELLS)
properties = _property_sets(
    st.recursive(
        plain_properties,
        lambda inner: st.one_of(
            st.builds(Property, st.just(DataType.PROPERTY_SET), _property_sets(inner)),
            st.builds(
                Property, st.just(DataType.PROPERTY_SET_LIST), st.lists(_property_sets(inner), max_size=2)
            ),
        ),
        max_leaves=5,
    )
)
metadata = st.builds(
    MetaData,
    is_multi_part=st.none() | st.booleans(),
    content_type=st.none() | texts,
    size=st.none() | times,
    seq=st.none() | times,
    file_name=st.none() | texts,
    description=st.none() | texts,
)


def _metric(datatype, values, *, named=True):
    name = texts.filter(bool)
    return st.builds(
        Metric,
        name=name if named else st.none(),
        value=values,
        datatype=st.just(datatype),
        timestamp=st.none() | times,
        alias=st.none() | times if named else times,
        is_historical=st.booleans(),
        is_transient=st.booleans(),
        properties=st.none() | properties,
        metadata=st.none() | metadata,
    )


plain_metrics = _typed(_metric)
parameters = _typed(lambda datatype, values: st.builds(Parameter, texts, st.just(datatype), values), _CELLS)


def _templates(members):
    return st.builds(
        Template,
        metrics=st.lists(members, max_size=3),
        parameters=st.lists(parameters, max_size=2),
        ref=st.none() | texts,
        version=st.none() | texts,
        is_definition=st.booleans(),
    )


metrics = st.recursive(
    plain_metrics | _metric(DataType.DATA_SET, datasets()),
    lambda inner: _metric(DataType.TEMPLATE, _templates(inner)),
    max_leaves=4,
)
payloads = st.builds(
    Payload,
    timestamp=st.none() | times,
    metrics=st.lists(metrics, max_size=3),
    seq=st.none() | st.integers(0, 255),
    uuid=st.none() | texts,
    body=st.none() | st.binary(max_size=20),
)
