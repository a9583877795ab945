"""Reads OMA's object definitions (DDF, schemas LWM2M.xsd 1.0 and 1.1) from XML, as text with line numbers.

XML from anywhere may hold entities that grow without end or fetch files. A document type declaration,
without which there are none, is refused. Size, depth and number of elements are budgeted, and text is
kept only of the elements that matter.
"""

from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from iiot.budgets import DEFINITION_BYTES, DEFINITION_TEXT, ELEMENTS, XML_NESTING

_SEPARATOR: Final = "\n"
_OBJECT, _ITEM, _ROOT = "Object", "Item", "LWM2M"
_OTHER_ROOTS: Final = ("DDFList", "units")
"""OMA's registry keeps its index and its list of units beside the definitions."""
_KEPT: Final = {
    _OBJECT: (
        "Name", "ObjectID", "ObjectURN", "LWM2MVersion", "ObjectVersion", "MultipleInstances", "Mandatory",
    ),
    _ITEM: ("Name", "Operations", "MultipleInstances", "Mandatory", "Type", "RangeEnumeration", "Units"),
}  # fmt: skip


class DdfError(Exception):
    """The XML cannot be read; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(slots=True)
class Entry:
    """An `Object` or `Item` as it stands in the file.

    Attributes:
        line: of its start tag.
        texts: text and line of its elements by name.
        ident: the attribute `ID` of an `Item`.
        items: of an `Object`.
        repeated: names and lines of elements that stand twice.
    """

    line: int
    texts: dict[str, tuple[str, int]] = field(default_factory=dict)
    ident: str | None = None
    items: list["Entry"] = field(default_factory=list)
    repeated: list[tuple[str, int]] = field(default_factory=list)


def read_ddf(data: bytes) -> list[Entry]:
    """The objects of a file; none of a file that is another part of OMA's registry.

    Raises:
        DdfError: not XML, another root element, a document type declaration, or beyond a budget.
    """
    if len(data) > DEFINITION_BYTES:
        raise DdfError(1, f"got more than {DEFINITION_BYTES} bytes, allowed: up to that")
    return _Reader().read(data)


class _Reader:
    """Handlers of one parse."""

    def __init__(self) -> None:
        parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser = parser
        self._objects: list[Entry] = []
        self._open: list[str] = []
        self._entries: list[tuple[str, Entry]] = []
        self._elements = 0
        self._words: list[str] | None = None
        self._length = 0
        self._line = 1

    def read(self, data: bytes) -> list[Entry]:
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as exc:
            raise DdfError(exc.lineno, f"not XML: {expat.ErrorString(exc.code)}") from exc
        except (ValueError, LookupError) as exc:  # an encoding that Python does not know, or not for XML
            raise DdfError(1, f"encoding: {exc}") from exc
        return self._objects

    def _refuse_doctype(self, *_: object) -> None:
        raise self._error("got a document type declaration, allowed: none, since it can hold entities")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(_SEPARATOR)[2]
        self._elements += 1
        if self._elements > ELEMENTS:
            raise self._error(f"got more than {ELEMENTS} elements, allowed: up to that")
        if len(self._open) >= XML_NESTING:
            raise self._error(f"got more than {XML_NESTING} levels, allowed: up to that")
        if not self._open and tag not in (_ROOT, *_OTHER_ROOTS):
            raise self._error(f"got the root element {tag[:100]!r}, allowed: {_ROOT}")
        self._open.append(tag)
        self._words = None
        if self._open[0] != _ROOT:
            return
        if self._open[1:] == [_OBJECT]:
            self._objects.append(Entry(self._parser.CurrentLineNumber))
            self._entries = [(_OBJECT, self._objects[-1])]
        elif self._open[1:] == [_OBJECT, "Resources", _ITEM]:
            item = Entry(self._parser.CurrentLineNumber, ident=attributes.get("ID"))
            self._objects[-1].items.append(item)
            self._entries = [*self._entries[:1], (_ITEM, item)]
        elif self._kept(tag):
            self._words, self._length, self._line = [], 0, self._parser.CurrentLineNumber

    def _kept(self, tag: str) -> bool:
        # Only direct children of an Object or Item: a description may hold markup with the same names.
        kind = self._open[-2] if len(self._open) > 2 else ""
        depth = {_OBJECT: 3, _ITEM: 5}.get(kind)
        return depth == len(self._open) and tag in _KEPT[kind]

    def _end(self, _: str) -> None:
        tag = self._open.pop()
        if self._words is not None:
            entry = self._entries[-1 if self._open[-1] == _ITEM else 0][1]
            if tag in entry.texts:
                entry.repeated.append((tag, self._line))
            entry.texts[tag] = ("".join(self._words).strip(), self._line)
        self._words = None

    def _text(self, text: str) -> None:
        if self._words is None:
            return
        self._length += len(text)
        if self._length > DEFINITION_TEXT:
            raise self._error(
                f"{self._open[-1]}: got more than {DEFINITION_TEXT} characters, allowed: up to that"
            )
        self._words.append(text)

    def _error(self, reason: str) -> DdfError:
        return DdfError(self._parser.CurrentLineNumber, reason)
