from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import DecodeError, IiotError, InvalidValueError
from iiot.lwm2m.content import link
from iiot.lwm2m.message import Link
from iiot.lwm2m.path import Path


def of(*pairs):
    return tuple(Link(Path.parse(path), attributes) for path, attributes in pairs)


def test_a_registration():
    text = (
        '</>;rt="oma.lwm2m";ct="60 110 112 11542 11544",</1>;ver=1.2,</1/0>,</3/0>,</5/0>,</3303/0>,</3303/1>'
    )
    found = link.decode(text)
    assert found.links == of(
        ("/1", {"ver": "1.2"}), ("/1/0", {}), ("/3/0", {}), ("/5/0", {}), ("/3303/0", {}), ("/3303/1", {})
    )
    assert (found.root, found.attributes["ct"]) == ("/", "60 110 112 11542 11544")
    root = Link(Path.parse("/"), {"rt": "oma.lwm2m", "ct": "60 110 112 11542 11544"})
    assert link.encode((root, *found.links)) == text


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("</1/0>,</3/0>,</3303/0>", of(("/1/0", {}), ("/3/0", {}), ("/3303/0", {}))),
        ("</3>;pmin=10,</3/0>;pmax=60,</3/0/6>;dim=2,</3/0/7>;dim=2;gt=50;lt=42.2",
         of(("/3", {"pmin": 10}), ("/3/0", {"pmax": 60}), ("/3/0/6", {"dim": 2}),
            ("/3/0/7", {"dim": 2, "gt": 50, "lt": 42.2}))),
        ("</1>,</1/0>,</1/4>;pmax=300", of(("/1", {}), ("/1/0", {}), ("/1/4", {"pmax": 300}))),
        ('</0/0>;ssid=101;uri="mqtt://host"', of(("/0/0", {"ssid": 101, "uri": "mqtt://host"}))),
        ("", ()),
    ],
)  # fmt: skip
def test_discover_and_back(text, links):
    assert link.decode(text).links == links
    assert link.encode(links) == text


@pytest.mark.parametrize(
    ("text", "links"),
    [
        (" </1/0/> , </3/0>\n,</5>", of(("/1/0", {}), ("/3/0", {}), ("/5", {}))),
        ("</3303>;ver=\"1.1\"", of(("/3303", {"ver": "1.1"}))),
        ('</3/0>;obs;title="a,b;<c>\\"d\\""', of(("/3/0", {"obs": None, "title": 'a,b;<c>"d"'}))),
        ("</3/0/9>;gt=-75", of(("/3/0/9", {"gt": -75}))),
    ],
)  # fmt: skip
def test_what_clients_also_send(text, links):
    assert link.decode(text).links == links


def test_an_alternate_path_is_taken_off():
    found = link.decode('</lwm2m>;rt="oma.lwm2m";ct=11542,</lwm2m/1/0>,</lwm2m/3>;ver=1.2')
    assert (found.root, found.attributes["ct"]) == ("/lwm2m", 11542)
    assert found.links == of(("/1/0", {}), ("/3", {"ver": "1.2"}))


@pytest.mark.parametrize(
    "text",
    ["</1/0></3/0>", "</1/0>,", ",</1/0>", "</1/0", "1/0", "</a/0>", "</1/65535>", "</1/0>;", "</1/0>;=5",
     '</1/0>;a="x', '</5>;rt="oma.lwm2m",</5/1/0>'],
)  # fmt: skip
def test_what_must_fail(text):
    with pytest.raises(IiotError):
        link.decode(text)


def test_quotes_never_leave():
    with pytest.raises(InvalidValueError, match="title"):
        link.encode(of(("/3", {"title": 'say "no"'})))
    with pytest.raises(DecodeError):
        link.decode("<" + "x" * 300 + ">")


numbers = st.integers(-(10**17), 10**17)
texts = st.text(st.characters(exclude_characters='"\\', exclude_categories=("Cc", "Cs")), max_size=10)
attributes = st.dictionaries(
    st.sampled_from(["pmin", "gt", "title", "obs"]), numbers | texts | st.none(), max_size=3
)
ids = st.integers(0, 65534)
paths = st.lists(ids, min_size=1, max_size=4).map(lambda ids: Path.of(*ids))


@given(st.lists(st.builds(Link, paths, attributes), max_size=6))
def test_all_links_come_back(links):
    assert link.decode(link.encode(links)).links == tuple(links)


@given(st.text('</>;,="\\ 013abcrtomalw2.', max_size=60) | st.text(max_size=30))
def test_hostile_text_raises_only_our_errors(text):
    with suppress(IiotError):
        link.decode(text)
