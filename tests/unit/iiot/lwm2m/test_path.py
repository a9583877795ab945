import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import InvalidValueError
from iiot.lwm2m.path import ROOT, Path, parse_content


@pytest.mark.parametrize(
    ("text", "ids", "level"),
    [
        ("/", (), "root"),
        ("/3", (3,), "object"),
        ("/3/0/", (3, 0), "instance"),
        ("3303/0/5700", (3303, 0, 5700), "resource"),
        ("/65535/0/2", (65535, 0, 2), "resource"),
        ("/3/0/6/1", (3, 0, 6, 1), "resource instance"),
    ],
)
def test_reads_every_level(text, ids, level):
    path = Path.parse(text)
    assert (path.ids, path.level) == (ids, level)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "/a",
        "/3//0",
        "/-1",
        "/65536",
        "/3/65535",
        "/3/0/6/65535",
        "/1/2/3/4/5",
        "/3/0/\u0661",
        "/3.0",
    ],
)
def test_refuses_what_names_no_node(text):
    with pytest.raises(InvalidValueError, match="path"):
        Path.parse(text)


@given(st.lists(st.integers(0, 65534), max_size=4))
def test_text_and_back(ids):
    assert Path.parse(str(Path.of(*ids))) == Path.of(*ids)


@pytest.mark.parametrize("read", [Path.parse, parse_content])
@pytest.mark.parametrize("text", ["/" * 1_000_000 + "3/0/0", " " * 1_000_000 + "/3/0/0"])
def test_a_long_text_is_no_path(read, text):
    """It would be remembered as it is."""
    with pytest.raises(InvalidValueError, match="path"):
        read(text)


def test_relations():
    resource = Path.of(3, 0, 6)
    assert resource / 1 == Path.of(3, 0, 6, 1)
    assert (resource / 1).parent == resource
    assert Path.of(3).contains(resource)
    assert ROOT.contains(resource)
    assert not Path.of(3, 1).contains(resource)
    assert (resource.object_id, resource.instance_id, resource.resource_id) == (3, 0, 6)
    assert resource.resource_instance_id is None
