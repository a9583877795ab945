"""Files and texts that users or devices write: link format, YAML, XML, JSON lines; extreme in one place."""

import json

from fuzz.source import COUNTS, LARGEST, Source, damaged
from fuzz.value_frames import PATHS, json_value


def links(source: Source) -> bytes:
    """A list of links as in a registration."""
    parts = ['</>;rt="oma.lwm2m";ct="60 110"']
    for _ in range(1 + source.number(5)):
        link = f"<{source.pick(PATHS)}>"
        for _ in range(source.number(3)):
            key = source.pick(("ver", "pmin", "ct", "rt", "dim", "ssid", "uri", "x", "lt"))
            value = source.pick(("1.1", '"a;,<>"', '"', "9" * source.pick(COUNTS[:8]), "", source.text()))
            link += f";{key}={value}"
        parts.append(link)
    text = source.pick((",", ", ", ",,")).join(parts)
    if source.chance(4):
        text += ("," + parts[-1]) * min(source.pick(COUNTS), LARGEST // (1 + len(parts[-1])))
    return damaged(source, text.encode("utf-8", "surrogatepass"))


def yaml_file(source: Source) -> bytes:
    """A document with the words of the testbed's own files: aliases, merges, tags, numbers without end."""
    lines = []
    words = (
        "name",
        "routes",
        "filter",
        "topic",
        "key",
        "format",
        "id",
        "resources",
        "type",
        "mount",
        "objects",
        "devices",
    )
    words = (
        *words,
        "kinds",
        "kind",
        "count",
        "share",
        "sensors",
        "metrics",
        "range",
        "values",
        "interval",
        "faults",
    )
    for number in range(1 + source.number(8)):
        word = source.pick(words)
        lines.append(
            f"{' ' * source.pick((0, 0, 2, 4))}{source.pick(('', '- '))}{word}: {_yaml_value(source, number)}"
        )
    if source.chance(4):
        lines += _bomb(source)
    return damaged(source, "\n".join(lines).encode("utf-8", "replace"))


def _yaml_value(source: Source, number: int) -> str:
    if source.chance(3):
        return source.pick(
            (
                f"&a{number} [1, 2]",
                f"*a{max(0, number - 1)}",
                "{<<: *a0}",
                "!!python/object/apply:os.system [true]",
                "!!binary AAAA",
                "2024-13-01",
                "9" * source.pick(COUNTS[:8]),
                "0x" + "f" * source.pick(COUNTS[:8]),
                "1:59:59" * 40,
                "[" * source.pick(COUNTS[:8]),
                "{a: " * source.pick(COUNTS[:7]),
                ".inf",
                "~",
                json.dumps(source.text()),
            )
        )
    return source.pick(
        ("temperature", "iot.telemetry.x", "spBv1.0/#", "device", "raw", "1", "0.5", "[a, b]", "{a: 1}")
    )


def _bomb(source: Source) -> list[str]:
    levels, width = source.pick((3, 9, 20, 40)), source.pick((2, 9, 30))
    lines = ["b0: &b0 [x, x]"]
    for level in range(1, levels):
        aliases = ", ".join([f"*b{level - 1}"] * width)
        lines.append(f"b{level}: &b{level} [{aliases}]")
    return lines


def xml_file(source: Source) -> bytes:
    """A definition of an LwM2M object as OMA publishes them, with what XML is feared for."""
    names = (
        "Name",
        "ObjectID",
        "ObjectURN",
        "MultipleInstances",
        "Mandatory",
        "Description1",
        "ObjectVersion",
        "x",
    )
    body = "".join(f"<{name}>{_xml_text(source)}</{name}>" for name in (source.pick(names) for _ in range(5)))
    items = ""
    for _ in range(source.number(4)):
        fields = ("Name", "Operations", "MultipleInstances", "Mandatory", "Type", "RangeEnumeration", "Units")
        inner = "".join(f"<{name}>{_xml_text(source)}</{name}>" for name in fields if not source.chance(5))
        items += f'<Item ID="{source.pick(("0", "5700", "-1", "x", "9" * 5000))}">{inner}</Item>'
    if source.chance(4):
        items *= min(source.pick(COUNTS), LARGEST // (1 + len(items)))
    nested = "<a>" * source.pick((0, 0, 60, 5_000)) if source.chance(4) else ""
    prolog = source.pick(
        (
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<!DOCTYPE LWM2M [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>',
            '<!DOCTYPE LWM2M SYSTEM "file:///etc/hostname">',
            '<?xml version="1.0" encoding="UTF-16"?>',
        )
    )
    content = f"{body}<Resources>{items}</Resources>{nested}"
    text = f'{prolog}<LWM2M><Object ObjectType="MODefinition">{content}</Object></LWM2M>'
    return damaged(source, text.encode("utf-8", "replace"))


_XML_TEXTS = (
    *("3303", "Sensor", "RW", "E", "Single", "Multiple", "Float", "Opaque", "0..255", "1,2,3", "&b;", "&#0;"),
    *(
        "",
        "1.1",
        "9" * 5000,
        "urn:oma:lwm2m:ext:3303",
        "Mandatory",
        "Optional",
        "0-64 bytes",
        "-1..9" + "9" * 21,
    ),
)


def _xml_text(source: Source) -> str:
    return source.pick(_XML_TEXTS)


def json_lines(source: Source) -> bytes:
    """Lines of JSON objects, as in recordings and files of state."""
    words = (
        "event",
        "time",
        "topic",
        "payload",
        "client",
        "bdSeq",
        "qos",
        "retain",
        "will",
        "reason",
        "members",
        "of",
    )
    lines = []
    for _ in range(1 + source.number(4)):
        kind = source.pick(("publish", "connect", "subscribe", "disconnect", "cut", "vantage", "x"))
        entries = [f'"event":"{kind}"'] if not source.chance(5) else []
        entries += [f'"{source.pick(words)}":{json_value(source)}' for _ in range(source.number(6))]
        lines.append("{" + ",".join(entries) + "}")
    return damaged(source, "\n".join(lines).encode("utf-8", "surrogatepass"))
