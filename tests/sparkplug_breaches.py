"""The table of recordings that each break a rule of the linter, and edits of messages that do it.

A module that adds recordings imports `breaks` from here; whoever runs the table imports that module.
"""

from iiot._pb.sparkplug_b_pb2 import Payload as Pb
from iiot.sparkplug.datatypes import DataType
from sparkplug_traffic import FULL_VIEW, START, by_name, metric

CASES = {}
HOUR = 3_600_000


def breaks(*keys, also=(), vantage=FULL_VIEW):
    """The decorated function makes traffic that breaks the rules `keys`, `also` as a consequence."""

    def register(function):
        assert not set(keys) & CASES.keys()
        CASES.update(dict.fromkeys(keys, (function, {*keys, *also}, vantage)))
        return function

    return register


def setting(path, **values):
    """An edit of the metric `path`: sets members, deletes those given as None."""

    def edit(payload):
        entry = by_name(payload, path)
        for name, value in values.items():
            entry.ClearField(name) if value is None else setattr(entry, name, value)

    return edit


def with_properties(fill):
    def edit(payload):
        fill(by_name(payload, "Load").properties)

    return edit


def quality(**value):
    def fill(properties):
        properties.keys.append("Quality")
        properties.values.add(**value)

    return with_properties(fill)


def dataset(**values):
    def edit(payload):
        table = metric(payload, "Table", DataType.DATA_SET).dataset_value
        shape = {"num_of_columns": 1, "columns": ["a"], "types": [3], **values}
        cells = shape.pop("cells", 1)
        table.MergeFrom(Pb.DataSet(**{name: value for name, value in shape.items() if value is not None}))
        row = table.rows.add()
        for _ in range(cells):
            row.elements.add(int_value=1)

    return edit


def template(name="Motor", kind=True, ref=None, members=("Speed",), parameters=("Maker",), **first):
    """Adds a Template; `first` changes its first parameter."""

    def edit(payload):
        value = metric(payload, name, DataType.TEMPLATE).template_value
        if kind is not None:
            value.is_definition = kind
        if ref is not None:
            value.template_ref = ref
        for member in members:
            metric(value, member, DataType.INT32, timestamp=START, int_value=1)
        for parameter in parameters:
            value.parameters.add(**{"name": parameter, "type": DataType.STRING, **first})

    return edit


def both(*edits):
    return lambda payload: [edit(payload) for edit in edits]


INSTANCE = {"name": "Drive", "kind": False, "ref": "Motor"}
