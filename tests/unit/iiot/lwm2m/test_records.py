import pytest

from iiot.errors import InvalidValueError, shown
from iiot.lwm2m.arguments import check_arguments
from iiot.lwm2m.message import Code, Link, Record, Refusal, Register, Update
from iiot.lwm2m.model import built_in
from iiot.lwm2m.path import ROOT, Path
from iiot.lwm2m.records import absolute, clash, distinct, outside, sound, unambiguous, usable
from iiot.lwm2m.registration import RefusedError, check, check_binding

NOW = 1_795_000_000.5


def records(*paths, time=None):
    return tuple(Record(Path.parse(path), number, time) for number, path in enumerate(paths))


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (None, None),
        (-30, NOW - 30),
        (0, NOW),
        (2**28 - 1, NOW + 2**28 - 1),
        (2**28, 2**28),
        (1e9 + 0.25, 1e9 + 0.25),
    ],
)
def test_times_below_2_to_the_28_are_relative_to_now(time, expected):
    (record,) = absolute(records("/3/0/9", time=time), NOW)
    assert (record.time, record.fault) == (expected, None)


@pytest.mark.parametrize("time", [-NOW - 1, 1e300, -1e300, 2**60])
def test_a_time_that_no_clock_shows_is_a_fault(time):
    (record,) = absolute(records("/3/0/9", time=time), NOW)
    assert (record.value, record.fault.field, record.fault.value) == (None, "/3/0/9 time", time)


@pytest.mark.parametrize(
    ("paths", "clashing"),
    [
        (("/3/0/9", "/3/0/10"), ()),
        (("/3/0/6/0", "/3/0/6/1", "/3/0/7"), ()),
        (("/3/0/9", "/3/0/10", "/3/0/9"), ("/3/0/9", "/3/0/9")),
        (("/3/0/6", "/3/0/6/0", "/3/0/9"), ("/3/0/6", "/3/0/6/0")),
        (("/3/0/6/0", "/3/0/9", "/3/0/6"), ("/3/0/6", "/3/0/6/0")),
        (("/3/0/6/1", "/3/0/6/1"), ("/3/0/6/1", "/3/0/6/1")),
    ],
)
def test_two_values_for_one_place_are_named(paths, clashing):
    found = records(*paths)
    assert tuple(str(record.path) for record in clash(found) or ()) == clashing
    faults = tuple(str(record.path) for record in unambiguous(found) if record.fault)
    assert sorted(faults) == sorted(clashing)
    if clashing:
        with pytest.raises(InvalidValueError, match=" and ".join(clashing)):
            distinct(found)
        assert clash((*records(clashing[0], time=1), *records(clashing[1], time=2))) is None


def test_a_report_keeps_what_can_be_used():
    fault = Refusal("/3/0/9", "x", "a number")
    said = (*records("/3/0/1", time=-1), Record(Path.of(3, 0, 2)), Record(Path.of(3, 0, 9), fault=fault))
    good, faults = usable(said, NOW)
    assert good == (Record(Path.of(3, 0, 1), 0, NOW - 1),)
    assert [refused.field for refused in faults] == ["/3/0/2", "/3/0/9"]
    with pytest.raises(InvalidValueError, match="/3/0/9"):
        sound(said)


def test_what_was_not_asked_for():
    asked = (Path.of(3, 0), Path.of(3303, 0, 5700))
    below = [Path.of(3, 0), Path.of(3, 0, 6, 1), Path.of(3303, 0, 5700)]
    assert outside(below, asked) is None
    for strange in (Path.of(3), Path.of(3, 1), Path.of(3303, 0, 5701), ROOT):
        assert outside([*below, strange], asked) == strange
    assert outside([Path.of(5)], (ROOT,)) is None


@pytest.mark.parametrize("binding", [None, "U", "UQ", "UMHTSNQ", "MQ", "SU"])
def test_binding_modes(binding):
    assert check_binding(binding, "binding") == binding


@pytest.mark.parametrize("binding", ["", "Q", "XYZ", "UU", "u", "U Q", "UMHTSNQU", "Ü"])
def test_what_is_no_binding_mode(binding):
    with pytest.raises(InvalidValueError) as refused:
        check_binding(binding, "b")
    assert (refused.value.field, refused.value.value) == ("b", binding)


LINKS = (Link(Path.of(3, 0)),)


@pytest.mark.parametrize(
    ("message", "profile", "code"),
    [
        (Register(endpoint="d", lifetime=60), "json", None),
        (Register(endpoint="d", lifetime=60, links=LINKS), "oma", None),
        (Register(endpoint="d", lifetime=60), "oma", Code.CONFLICT),
        (Register(endpoint="d", lifetime=60, version="1.3", links=LINKS), "oma", Code.PRECONDITION_FAILED),
        (Register(endpoint="d", lifetime=60, version="2.0"), "json", Code.PRECONDITION_FAILED),
        (
            Register(endpoint="d", lifetime=60, records=(Record(Path.of(3, 0, 9), "x"),)),
            "json",
            Code.BAD_REQUEST,
        ),
        (Update(), "oma", None),
        (Update(links=LINKS), "oma", None),
        (Update(links=()), "oma", Code.BAD_REQUEST),
        (Update(links=()), "json", Code.BAD_REQUEST),
        (Update(records=(Record(Path.of(3, 0, 9), "x"),)), "json", Code.BAD_REQUEST),
    ],
)
def test_registrations(message, profile, code):
    if code is None:
        check(message, profile, built_in())
        return
    with pytest.raises(RefusedError) as refused:
        check(message, profile, built_in())
    assert refused.value.code is code


@pytest.mark.parametrize("arguments", ["", "0", "0,1", "0='x',1", "9=''", "0='a,b',1='0,0'", "1,0"])
def test_arguments_of_an_execute(arguments):
    check_arguments(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        "0,0",
        "0='a',0='b'",
        "0='a',1,0",
        ",",
        "0,",
        "00",
        "x",
        "0=x",
        "0='a",
        "0='a'b",
        "0='a b'",
        "0='\"'",
        "0\n",
        "٣",
    ],
)
def test_what_are_no_arguments(arguments):
    with pytest.raises(InvalidValueError) as refused:
        check_arguments(arguments)
    assert refused.value.field == "arguments"


@pytest.mark.parametrize(
    ("value", "text"), [(2**4000, "a longer integer"), (-5, "-5"), ("x", "'x'"), (None, "nothing")]
)
def test_a_refused_value_is_shown_whatever_it_is(value, text):
    assert str(InvalidValueError("f", value, "a")) == f"f: got {text}, allowed: a"


def test_what_is_long_or_deep_is_shown_in_part():
    deep = []
    for _ in range(5000):
        deep = [deep]
    for value in (deep, "x" * 10**6, b"x" * 10**6, [1] * 10**6, {n: n for n in range(10**5)}):
        assert len(shown(value)) < 1000
