"""One message of the OMA profile as a CBOR map: written field by field, read with every field checked."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import cbor2

from iiot.budgets import DIGITS
from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m import observe
from iiot.lwm2m.alternate_path import NONE, joined, without
from iiot.lwm2m.content import Format, cbor, link, senml
from iiot.lwm2m.message import Attributes, Code, Content, Response
from iiot.lwm2m.oma_keys import ATTRIBUTES, Key
from iiot.lwm2m.path import Path

_PATHS_CBOR: Final = (Format.SENML_CBOR, Format.SENML_ETCH_CBOR)
_PATHS_JSON: Final = (Format.SENML_JSON, Format.SENML_ETCH_JSON)


def utf8(data: bytes) -> str:
    """Bytes as text.

    Raises:
        DecodeError: not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DecodeError("a text that is not UTF-8") from error


class Writer:
    """A message being written; keys stand in the order of the specification's examples.

    Args:
        token: matches response and request; digits of an unsigned 64-bit integer.
        extensions: fill the binding's holes.
        root: the device's alternate path.

    Raises:
        InvalidValueError: the token is no such integer.
    """

    def __init__(self, token: str, extensions: bool, root: str = NONE) -> None:
        if not (token.isascii() and token.isdigit() and len(token) <= DIGITS and int(token) < 2**64):
            raise InvalidValueError("token", token, "an integer from 0 to 2^64-1, in digits")
        self._extensions = extensions
        self._root = root
        self._head: dict[int | str, Any] = {}
        self._fields: dict[int | str, Any] = {}
        self._token = int(token)

    def operation(self, code: int) -> None:
        """Make it a request."""
        self._head = {Key.OPERATION: code, Key.TOKEN: self._token}

    def response(self, message: Response) -> None:
        """Make it a response."""
        self._head = {Key.RESULT: int(message.code), Key.TOKEN: self._token}
        content = message.content
        if content is None and message.links:
            content = Content(Format.LINK, link.encode(message.links, self._root).encode())
        if content is None and message.error is not None and self._extensions:
            content = Content(Format.TEXT, str(message.error).encode())
        self.content(content, required=bool(message.records))
        if message.location is not None:
            self.extend("location", joined(self._root, message.location))

    def put(self, key: Key, value: object) -> None:
        """Add a field, unless it is None."""
        if value is not None:
            self._fields[key] = value

    def extend(self, key: str, value: object) -> None:
        """Add a field that only the extensions have."""
        if value is not None and self._extensions:
            self._fields[key] = value

    def content(self, content: Content | None, *, required: bool) -> None:
        """Add encoded values.

        Raises:
            InvalidValueError: there are none, and they are required.
        """
        if content is None:
            if required:
                raise InvalidValueError("content", None, "values encoded in a content format")
            return
        self.put(Key.CONTENT_FORMAT, content.format)
        self.put(Key.PAYLOAD, content.payload)

    def paths(self, paths: Sequence[Path], form: int | None) -> None:
        """Add what a composite request asks for: SenML-ETCH CBOR, which the binding has no way to change.

        Raises:
            InvalidValueError: another format, without extensions, or one that holds no paths.
        """
        if not paths:
            return
        if form is None or form in _PATHS_CBOR:
            self.put(Key.PATHS, senml.encode_paths_cbor(paths, self._root))
        elif form in _PATHS_JSON and self._extensions:
            self.put(Key.CONTENT_FORMAT, form)
            self.put(Key.PATHS, senml.encode_paths_json(paths, self._root))
        else:
            raise InvalidValueError("pathformat", form, "322: no other is expressible over MQTT")

    def attributes(self, attributes: Attributes) -> None:
        """Add notification attributes.

        Raises:
            InvalidValueError: without extensions, one that has no key or is to be unset.
        """
        for name, value in observe.given(attributes).items():
            self._attribute(name, int(value) if isinstance(value, bool) else value)
        for name in sorted(attributes.unset):
            self._attribute(name, None)

    def _attribute(self, name: str, value: float | None) -> None:
        key = ATTRIBUTES.get(name)
        if not self._extensions and (key is None or value is None):
            what = "unsetting it" if value is None else name
            raise InvalidValueError(name, value, f"nothing: {what} is not expressible over MQTT")
        self._fields[name if key is None else int(key)] = value

    def dump(self) -> bytes:
        """The message."""
        plain = {int(key) if isinstance(key, Key) else key: value for key, value in self._fields.items()}
        return cbor2.dumps({int(key): value for key, value in self._head.items()} | plain)


class Reader:
    """A message being read; unknown keys are ignored.

    Attributes:
        is_response: it is a response, else a request.
        token: matches response and request.

    Raises:
        DecodeError: not a message of the binding.
    """

    def __init__(self, payload: bytes) -> None:
        body = cbor.load(payload)
        if isinstance(body, Mapping) and isinstance(body.get(2), Mapping):
            if body.get(1) is not None:
                raise DecodeError("protected by COSE, which is not supported")
            body = body[2]
        if not isinstance(body, Mapping):
            raise DecodeError("not a map")
        self._body: Mapping[Any, Any] = body
        self.is_response = Key.RESULT in body
        if self.is_response == (Key.OPERATION in body):
            raise DecodeError("neither a request nor a response, or both")
        token = self.integer(Key.TOKEN, 2**64 - 1)
        if token is None:
            raise DecodeError("no token")
        self.token = str(token)

    @property
    def operation(self) -> int:
        """The operation code of a request."""
        code = self.integer(Key.OPERATION, 2**32)
        return -1 if code is None else code

    def response(self) -> Response:
        """The response that this is.

        Raises:
            InvalidValueError: an unknown result or a wrong field.
        """
        result = self.integer(Key.RESULT, 999)
        if result not in list(Code):
            raise InvalidValueError("result", result, ", ".join(str(int(code)) for code in Code))
        code, content = Code(result), self.content(required=False)
        if code.is_success or content is None:
            location = self.text("location")
            where = None if location is None else Path.parse(without(location, None))
            return Response(token=self.token, code=code, content=content, location=where)
        return Response(token=self.token, code=code, error=content.payload.decode("utf-8", "replace"))

    def ledger(self) -> dict[str, Any]:
        """Token, number and time of a device's message."""
        numbers = {"seq": self.integer("seq", 2**63 - 1), "timestamp": self.integer("ts", 2**53)}
        return numbers | {"token": self.token}

    def integer(self, key: Key | str, high: int) -> int | None:
        """An optional integer from 0 to `high`.

        Raises:
            InvalidValueError: something else.
        """
        value = self._body.get(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None or (type(value) is int and 0 <= value <= high):
            return value
        raise InvalidValueError(_name(key), value, f"an integer from 0 to {high}")

    def text(self, key: Key | str) -> str | None:
        """An optional short string.

        Raises:
            InvalidValueError: something else.
        """
        value = self._body.get(key)
        if value is None or (isinstance(value, str) and len(value) <= 255):
            return value
        raise InvalidValueError(_name(key), value, "a string of at most 255 characters")

    def data(self, key: Key) -> bytes | None:
        """Optional bytes; text counts as its UTF-8.

        Raises:
            InvalidValueError: something else.
        """
        value = self._body.get(key)
        if isinstance(value, str):
            return value.encode()  # as in the specification's own example
        if value is None or isinstance(value, bytes):
            return value
        raise InvalidValueError(_name(key), value, "a byte string")

    def content(self, *, required: bool) -> Content | None:
        """Encoded values.

        Raises:
            InvalidValueError: there are none or no format, and they are required.
        """
        payload, form = self.data(Key.PAYLOAD), self.integer(Key.CONTENT_FORMAT, 65535)
        if required and (payload is None or form is None):
            raise InvalidValueError("ct" if form is None else "payload", None, "present: this carries values")
        return None if payload is None else Content(form, payload)

    def paths(self, root: str | None) -> tuple[Path, ...]:
        """What a composite request asks for, without the alternate path `root`; None takes any off.

        Raises:
            DecodeError, InvalidValueError: no paths of the format that is given.
        """
        paths, form = self.data(Key.PATHS), self.integer(Key.CONTENT_FORMAT, 65535)
        if paths is None:
            return ()
        if form is not None and form not in (*_PATHS_CBOR, *_PATHS_JSON):
            raise InvalidValueError("ct", form, "110, 112, 320, 322: formats of paths")
        decode = senml.decode_json if form in _PATHS_JSON else senml.decode_cbor
        return tuple(Path.of(*record.path.ids) for record in decode(paths, root))

    def attributes(self) -> Attributes:
        """Notification attributes.

        Raises:
            InvalidValueError: a value of the wrong kind.
        """
        given: dict[str, Key | str] = {name: key for name, key in ATTRIBUTES.items() if key in self._body}
        given |= {name: name for name in ("lt", "con") if name in self._body}
        return Attributes.parse({name: self._attribute(name, self._body[key]) for name, key in given.items()})

    @staticmethod
    def _attribute(name: str, value: object) -> object:
        return value if value is None or isinstance(value, bool) else cbor.number(value, name)


def _name(key: Key | str) -> str:
    return key.name.lower() if isinstance(key, Key) else key
