import cbor2
import pytest

from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m import alternate_path, oma_profile, profile_id
from iiot.lwm2m.content import Format, decode, encode, link
from iiot.lwm2m.message import Attributes, Code, Command, Content, Link, Operation, Record, Register, Response
from iiot.lwm2m.model import built_in
from iiot.lwm2m.path import ROOT, Path

TOPIC = oma_profile.Topic("d1")
BATTERY = Path.of(3, 0, 9)


def register(payload):
    return oma_profile.decode_uplink(TOPIC, cbor2.dumps({1: 6, 2: 1, 8: 60, 9: "1.2", 7: payload}))


@pytest.mark.parametrize(
    ("payload", "root", "paths"),
    [
        (b'</lwm2m>;rt="oma.lwm2m",</lwm2m/3/0>', "/lwm2m", ["/3/0"]),
        (b'</lwm2m/>;rt="oma.lwm2m",</lwm2m/3/0/>', "/lwm2m", ["/3/0"]),
        (b"<lwm2m>;rt=oma.lwm2m,<lwm2m/3/0>", "/lwm2m", ["/3/0"]),
        (b'</lwm2m/3/0>,</lwm2m>;ct=112;rt="core.x oma.lwm2m"', "/lwm2m", ["/3/0"]),
        (b'</a/b-1>;rt="oma.lwm2m",</a/b-1/3>;ver=1.2,</a/b-1/3/0>', "/a/b-1", ["/3", "/3/0"]),
        (b'</lwm2m>;rt="oma.lwm2m",</lwm2m/3/0>,</light>;rt="x",</lwm2mx/5>', "/lwm2m", ["/3/0"]),
        (b'</>;rt="oma.lwm2m",</3/0>', "/", ["/3/0"]),
        (b"</3/0>", "/", ["/3/0"]),
    ],
)
def test_a_register_says_where_the_objects_are(payload, root, paths):
    message = register(payload)
    assert (message.root, [str(found.path) for found in message.links]) == (root, paths)


@pytest.mark.parametrize("root", ["5", "lwm2m/5", "5/lwm2m", "lw m2m", "x" * 220, "a//b", 'a"b'])
def test_what_cannot_be_an_alternate_path_is_refused_by_name(root):
    with pytest.raises(InvalidValueError, match="alternate path"):
        register(f'</{root}>;rt="oma.lwm2m",</{root}/3/0>'.encode())


def test_objects_are_in_one_place():
    with pytest.raises(DecodeError, match="below /a and below /b"):
        link.decode('</a>;rt="oma.lwm2m",</b>;rt="oma.lwm2m",</a/3/0>')


@pytest.mark.parametrize(
    ("attributes", "formats"),
    [
        (';ct="60 110 112"', (60, 110, 112)),
        (";ct=112", (112,)),
        (';ct="112 112 60"', (112, 60)),
        ("", ()),
    ],
)
def test_the_content_formats_that_a_device_speaks(attributes, formats):
    assert register(b'</>;rt="oma.lwm2m"' + attributes.encode() + b",</3/0>").formats == formats


@pytest.mark.parametrize("ct", ['"senml"', "-1", "99999", "1.5", '"60,112"'])
def test_content_formats_that_are_none_are_refused_by_name(ct):
    with pytest.raises(InvalidValueError, match="ct"):
        register(f'</>;rt="oma.lwm2m";ct={ct},</3/0>'.encode())


def test_an_update_without_a_root_link_changes_neither_root_nor_formats():
    def update(payload):
        return oma_profile.decode_uplink(TOPIC, cbor2.dumps({1: 7, 2: 1, 7: payload}))

    assert (update(b"</3/0>").root, update(b"</3/0>").formats) == (None, None)
    told = update(b'</lwm2m>;rt="oma.lwm2m";ct=60,</lwm2m/3/0>')
    assert (told.root, told.formats, told.links) == ("/lwm2m", (60,), (Link(Path.of(3, 0)),))


def test_a_register_goes_over_the_wire_and_back():
    message = Register(
        token="1", endpoint="d1", lifetime=60, binding="M", links=(Link(Path.of(3, 0)),), root="/lwm2m",
        formats=(60, 112), profile_id="6:1234abcd",
    )  # fmt: skip
    assert oma_profile.decode_uplink(TOPIC, oma_profile.encode_uplink(message)) == message


@pytest.mark.parametrize("operation", [Operation.READ, Operation.DISCOVER, Operation.OBSERVE])
def test_requests_name_the_path_below_the_root(operation):
    command = Command(token="2", operation=operation, path=BATTERY)
    payload = oma_profile.encode_downlink(command, root="/lwm2m")
    assert cbor2.loads(payload)[5] == "/lwm2m/3/0/9"
    for root in ("/lwm2m", None):
        assert oma_profile.decode_downlink(TOPIC, payload, root).path == BATTERY
    with pytest.raises(InvalidValueError, match="uri"):
        oma_profile.decode_downlink(TOPIC, payload, "/other")


def test_composite_requests_name_paths_below_the_root():
    paths = (BATTERY, Path.of(1))
    for form in (None, Format.SENML_JSON):
        command = Command(token="2", operation=Operation.READ_COMPOSITE, paths=paths, path_format=form)
        payload = oma_profile.encode_downlink(command, root="/lwm2m")
        assert b"/lwm2m/3/0/9" in cbor2.loads(payload)[6]
        assert oma_profile.decode_downlink(TOPIC, payload, "/lwm2m").paths == paths


def test_the_bootstrap_interface_has_no_alternate_path():
    topic = oma_profile.Topic("d1", oma_profile.BOOTSTRAP)
    command = Command(token="2", operation=Operation.BOOTSTRAP_READ, path=Path.of(1, 0))
    payload = oma_profile.encode_downlink(command)
    assert oma_profile.decode_downlink(topic, payload, "/lwm2m").path == Path.of(1, 0)


@pytest.mark.parametrize("form", [Format.SENML_CBOR, Format.SENML_JSON, Format.TLV, Format.LWM2M_CBOR])
@pytest.mark.parametrize(
    "records", [(Record(BATTERY, 85),), (Record(BATTERY, 85), Record(Path.of(3, 0, 1), "x"))]
)
def test_values_below_the_root_and_back(form, records):
    payload = encode(form, records, Path.of(3, 0), built_in(), "/lwm2m")
    has_names = form in (Format.SENML_CBOR, Format.SENML_JSON)
    assert (b"/lwm2m/3/0/" in payload) is has_names
    for root in ("/lwm2m", None):
        found = decode(Content(form, payload), Path.of(3, 0), built_in(), root)
        assert sorted(found, key=lambda record: record.path) == sorted(records, key=lambda r: r.path)


def test_names_of_several_objects_and_names_without_the_root():
    records = (Record(BATTERY, 85), Record(Path.of(3303, 0, 5700), 20.5))
    payload = encode(Format.SENML_JSON, records, ROOT, built_in(), "/lwm2m")
    assert decode(Content(Format.SENML_JSON, payload), ROOT, built_in(), "/lwm2m") == records
    plain = encode(Format.SENML_JSON, records, ROOT, built_in())
    assert decode(Content(Format.SENML_JSON, plain), ROOT, built_in(), "/lwm2m") == records
    with pytest.raises(InvalidValueError):
        decode(Content(Format.SENML_JSON, payload), ROOT, built_in(), "/other")


def test_answers_of_discover_and_create_are_below_the_root():
    links = (Link(Path.of(3, 0), {"pmin": 1}),)
    answer = oma_profile.encode_uplink(Response(token="2", code=Code.CONTENT, links=links), root="/lwm2m")
    assert cbor2.loads(answer)[7] == b"</lwm2m/3/0>;pmin=1"
    assert link.decode("</lwm2m/3/0>;pmin=1", "/lwm2m").links == links
    created = Response(token="2", code=Code.CREATED, location=Path.of(3306, 0))
    payload = oma_profile.encode_uplink(created, root="/lwm2m")
    assert cbor2.loads(payload)["location"] == "/lwm2m/3306/0"
    assert oma_profile.decode_uplink(TOPIC, payload) == created
    assert "location" not in cbor2.loads(oma_profile.encode_uplink(created, extensions=False))


@pytest.mark.parametrize("operation", [Operation.OBSERVE, Operation.OBSERVE_COMPOSITE])
def test_an_observe_may_carry_attributes_as_an_extension(operation):
    command = Command(
        token="2", operation=operation, path=BATTERY if operation is Operation.OBSERVE else None,
        paths=() if operation is Operation.OBSERVE else (BATTERY,), attributes=Attributes(pmin=1, pmax=5),
    )  # fmt: skip
    payload = oma_profile.encode_downlink(command)
    assert (cbor2.loads(payload)[12], cbor2.loads(payload)[13]) == (1, 5)
    assert oma_profile.decode_downlink(TOPIC, payload) == command
    with pytest.raises(InvalidValueError, match="not expressible"):
        oma_profile.encode_downlink(command, extensions=False)


@pytest.mark.parametrize("given", ["6:1234abcd", "oma:lamp-1", "v:x", "1:ab,oma:y", '"1:ab,2:cd"'])
def test_profile_ids(given):
    assert profile_id.check(given) == given.strip('"')


@pytest.mark.parametrize("given", ["", "6:", "6:XYZ", "oma:", "x:1", "1:ab,", "1:ab, 2:cd", "6:" + "a" * 300])
def test_what_is_no_profile_id_is_refused_by_name(given):
    with pytest.raises(InvalidValueError, match="pid"):
        profile_id.check(given)


@pytest.mark.parametrize(
    ("text", "path"), [("/lwm2m/3/0", "/3/0"), ("/a/b/3", "/3"), ("/3/0/9", "/3/0/9"), ("/lwm2m", "/")]
)
def test_any_alternate_path_comes_off(text, path):
    assert alternate_path.without(text, None) == path
