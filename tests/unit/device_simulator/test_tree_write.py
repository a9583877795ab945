"""Writes to stored instances with resources that have instances, as a user's objects may."""

from dataclasses import dataclass, field

import pytest

from device_simulator import tree_write
from device_simulator.tree import OperationError, Tree
from iiot.errors import InvalidValueError
from iiot.lwm2m.message import Code, Record
from iiot.lwm2m.model import load
from iiot.lwm2m.path import Path

DEFINITION = """
id: 26241
name: Coffee machine
multiple: true
resources:
  1: {name: Strengths, operations: RW, type: integer, multiple: true}
  2: {name: Name, operations: RW, type: string}
"""
CUP = Path.of(26241, 0)


@dataclass
class Device:
    created: dict = field(default_factory=dict)
    presets: dict = field(default_factory=dict)


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "coffee.yaml").write_text(DEFINITION)
    made = Tree(load(tmp_path))
    made.allow_create(26241)
    return made


@pytest.fixture
def device(tree):
    made = Device()
    tree.create(made, Path.of(26241), {CUP / 1 / 0: 5, CUP / 1 / 1: 6, CUP / 2: "a"})
    return made


def values(tree, device):
    return {str(record.path): record.value for record in tree.read(device, CUP)}


def test_null_removes_an_instance_of_a_resource_together_with_the_other_writes(tree, device):
    tree_write.write(tree, device, [Record(CUP / 1 / 0), Record(CUP / 1 / 2, 7), Record(CUP / 2, "b")])
    assert values(tree, device) == {"/26241/0/1/1": 6, "/26241/0/1/2": 7, "/26241/0/2": "b"}


@pytest.mark.parametrize(
    ("path", "error"),
    [(CUP / 1 / 9, OperationError), (CUP / 2, InvalidValueError), (CUP / 1, InvalidValueError)],
)
def test_null_elsewhere_is_refused_and_nothing_is_written(tree, device, path, error):
    before = values(tree, device)
    with pytest.raises(error) as caught:
        tree_write.write(tree, device, [Record(CUP / 1 / 0, 1), Record(path)])
    assert getattr(caught.value, "code", Code.NOT_FOUND) is Code.NOT_FOUND
    assert values(tree, device) == before
