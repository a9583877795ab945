"""How a device's LwM2M messages go over MQTT: the JSON profile, or the OMA binding."""

import random
from collections import OrderedDict
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from device_simulator.profile import DevicePlan
from device_simulator.settings import SimulatorSettings
from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m import alternate_path, content, json_profile, oma_profile
from iiot.lwm2m.content import Format
from iiot.lwm2m.message import (
    BootstrapRequest,
    Code,
    Command,
    Content,
    Deregister,
    Downlink,
    Notify,
    Operation,
    Record,
    Refusal,
    Register,
    Response,
    Send,
    Update,
    Uplink,
)
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.oma_body import Reader
from iiot.lwm2m.oma_exchange import Echoes
from iiot.lwm2m.path import MAX_ID, ROOT, Path, content_path
from iiot.mqtt import Subscription

MAX_PENDING: Final = 1000
"""Own requests whose answers are still waited for."""
FORMATS: Final = (Format.CBOR, Format.SENML_JSON, Format.SENML_CBOR, Format.TLV, Format.LWM2M_CBOR)
"""What the device says that it speaks, in its object list (Core 6.2.1)."""
_KINDS: Final[dict[type[object], str]] = {
    Register: "reg",
    Update: "update",
    Deregister: "dereg",
    Send: "send",
    Notify: "notify",
    BootstrapRequest: "bootstrap",
    Response: "resp",
}
_CODES: Final = {"operation": Code.NOT_IMPLEMENTED, "uri": Code.NOT_FOUND}
"""What is answered to a request that cannot be read, by the field that is wrong."""
_OBSERVING: Final = (Operation.OBSERVE, Operation.OBSERVE_COMPOSITE)
_BOOTSTRAP: Final = frozenset(op for op in Operation if op.startswith("bootstrap"))


class Publication(NamedTuple):
    """A message to publish with QoS 1; `kind` is what it is counted as."""

    topic: str
    payload: bytes
    kind: str


class BadRequestError(DecodeError):
    """A request that cannot be understood, with what to answer.

    Attributes:
        response: the answer.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(str(response.error))
        self.response = response


class Wire(Protocol):
    """A profile at one device.

    Attributes:
        numbered: messages carry their number in the ledger.
        binding: /1/0/7 while nobody wrote another one.
    """

    numbered: bool
    binding: str

    def subscriptions(self) -> tuple[Subscription, ...]:
        """What the device subscribes to."""

    def encode(self, message: Uplink, now: float, request: Command | None = None) -> Publication:
        """A message to publish; a response also needs the request that it answers.

        Raises:
            InvalidValueError: the profile, or the wished format, cannot say it.
        """

    def decode(self, topic: str, payload: bytes, now: float) -> Downlink | None:
        """What arrived; None for what this device said itself.

        Raises:
            BadRequestError: a request that is wrong, and can be answered.
            DecodeError: nothing that could be answered.
        """

    def reply_topic(self, topic: str) -> str:
        """Where the answer to a request on `topic` goes."""


class JsonWire:
    """The JSON profile."""

    numbered = True
    binding = "UQ"

    def __init__(self, endpoint: str, prefix: str = "") -> None:
        self._endpoint = endpoint
        self._prefix = prefix

    def subscriptions(self) -> tuple[Subscription, ...]:
        """See `Wire`."""
        return tuple(map(Subscription, json_profile.down_filters(self._endpoint, self._prefix)))

    def encode(self, message: Uplink, now: float, request: Command | None = None) -> Publication:
        """See `Wire`."""
        topic, payload = json_profile.encode_uplink(self._endpoint, message, self._prefix)
        return Publication(topic, payload, _KINDS[type(message)])

    def decode(self, topic: str, payload: bytes, now: float) -> Downlink | None:
        """See `Wire`."""
        try:
            where = json_profile.parse_topic(topic, self._prefix)
        except InvalidValueError as exc:
            raise DecodeError(str(exc)) from exc
        if where.kind not in json_profile.DOWN_KINDS or where.endpoint != self._endpoint:
            raise DecodeError(f"{topic}: not for this device")
        try:
            return json_profile.decode_downlink(where, payload)
        except (DecodeError, InvalidValueError) as exc:
            if where.kind != "cmd":
                raise DecodeError(str(exc)) from exc
            answer = Response(token=where.token, code=Code.BAD_REQUEST, error=_why(exc))
            raise BadRequestError(answer) from exc

    def reply_topic(self, topic: str) -> str:
        """See `Wire`."""
        return topic.replace("/cmd/", "/resp/")


class OmaWire:
    """The OMA MQTT binding: one topic for both directions, so own messages come back (Transport 8).

    Tokens are odd, since a server's are even; what answers none of them, or was sent by this device, is
    dropped.

    Args:
        endpoint: the device.
        definitions: known objects.
        prefix: a topic level before `lwm2m`.
        extensions: fill the binding's holes.
        root: the alternate path below which the device has its objects.
    """

    def __init__(
        self,
        endpoint: str,
        definitions: Definitions,
        prefix: str = "",
        *,
        extensions: bool = True,
        root: str = alternate_path.NONE,
    ) -> None:
        self.numbered = extensions
        self.binding = "M"
        self._endpoint = endpoint
        self._definitions = definitions
        self._prefix = prefix
        self._extensions = extensions
        self._root = root
        self._token = random.getrandbits(40) * 2 + 1
        self._pending: OrderedDict[str, Operation] = OrderedDict()
        self._observed: OrderedDict[str, tuple[int | None, Path]] = OrderedDict()
        self._echoes = Echoes()

    def subscriptions(self) -> tuple[Subscription, ...]:
        """See `Wire`."""
        filters = oma_profile.device_filters(self._endpoint, self._prefix)
        return tuple(Subscription(topic_filter, no_local=True) for topic_filter in filters)

    def encode(self, message: Uplink, now: float, request: Command | None = None) -> Publication:
        """See `Wire`."""
        kind = _KINDS[type(message)]
        bootstrap = isinstance(message, BootstrapRequest)
        if isinstance(message, Response):
            bootstrap = request is not None and request.operation in _BOOTSTRAP
            message = replace(message, content=self._answer(message, request))
            self._note_observation(message, request)
        elif isinstance(message, Notify):
            message = replace(message, content=self._notification(message))
        else:
            if isinstance(message, Send):
                message = replace(
                    message, content=self._content(message.records, Format.SENML_CBOR, ROOT, self._root)
                )
            elif isinstance(message, Register | Update) and message.links:
                message = replace(message, root=self._root, formats=FORMATS)
            message = replace(message, token=self._next_token(message))
        root = alternate_path.NONE if bootstrap else self._root
        payload = oma_profile.encode_uplink(message, extensions=self._extensions, root=root)
        interface = oma_profile.BOOTSTRAP if bootstrap else oma_profile.MANAGEMENT
        self._echoes.sent(self._endpoint, payload, now)
        return Publication(str(oma_profile.Topic(self._endpoint, interface, self._prefix)), payload, kind)

    def decode(self, topic: str, payload: bytes, now: float) -> Downlink | None:
        """See `Wire`."""
        try:
            where = oma_profile.parse_topic(topic, self._prefix)
        except InvalidValueError as exc:
            raise DecodeError(str(exc)) from exc
        if where.endpoint != self._endpoint:
            raise DecodeError(f"{topic}: not for this device")
        if self._echoes.is_echo(self._endpoint, payload, now):
            return None
        try:
            message = oma_profile.decode_downlink(where, payload, self._root)
            if isinstance(message, Response):
                return self._expected(message)
            return message and self._with_records(message)
        except InvalidValueError as exc:
            self._refuse(payload, exc)
            raise DecodeError(str(exc)) from exc

    def reply_topic(self, topic: str) -> str:
        """See `Wire`."""
        return topic

    def _next_token(self, message: Uplink) -> str:
        self._token += 2
        token = str(self._token)
        operation = Operation(
            "bootstrap-request" if isinstance(message, BootstrapRequest) else type(message).__name__.lower()
        )
        self._pending[token] = operation
        if len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)
        return token

    def _expected(self, response: Response) -> Response | None:
        operation = self._pending.pop(response.token, None)
        if operation is None:
            return None
        records: tuple[Record, ...] = ()
        if operation is Operation.BOOTSTRAP_REQUEST and response.content is not None:
            records = content.decode(response.content, ROOT, self._definitions)
        return replace(response, operation=operation, records=records)

    def _with_records(self, command: Command) -> Command:
        if command.content is None:
            return command
        path = command.path or ROOT
        if command.operation is Operation.CREATE and path.level == "object":
            path = content_path((path.ids[0], MAX_ID))  # no instance, or 65535: this device picks one
        try:
            return replace(
                command, records=content.decode(command.content, path, self._definitions, self._root)
            )
        except InvalidValueError as exc:
            code = Code.UNSUPPORTED_CONTENT_FORMAT if exc.field == "format" else Code.BAD_REQUEST
            raise BadRequestError(Response(token=command.token, code=code, error=_why(exc))) from exc
        except DecodeError as exc:
            raise BadRequestError(
                Response(token=command.token, code=Code.BAD_REQUEST, error=str(exc))
            ) from exc

    def _refuse(self, payload: bytes, exc: InvalidValueError) -> None:
        try:
            reader = Reader(payload)
        except InvalidValueError:
            return  # without a token there is no answer
        if not reader.is_response:
            code = _CODES.get(exc.field, Code.BAD_REQUEST)
            raise BadRequestError(Response(token=reader.token, code=code, error=_why(exc))) from exc

    def _answer(self, message: Response, request: Command | None) -> Content | None:
        if message.links or message.code is not Code.CONTENT or request is None:
            return message.content
        if request.operation is Operation.CANCEL_OBSERVE:
            return None
        root = alternate_path.NONE if request.operation in _BOOTSTRAP else self._root
        return self._content(message.records, self._form(request), request.path or ROOT, root)

    def _form(self, request: Command) -> int:
        """The format of an answer: the one wished for, else by operation and level, not by the values."""
        if request.format is not None:
            return request.format
        path = request.path
        known = None if path is None else self._definitions.resource(path)
        single = path is not None and path.level == "resource" and known is not None and not known.multiple
        return Format.TEXT if single else Format.SENML_CBOR

    def _note_observation(self, answer: Response, request: Command | None) -> None:
        if request is None:
            return
        if request.operation is Operation.CANCEL_OBSERVE:
            self._observed.pop(request.token, None)
        elif request.operation in _OBSERVING and answer.content is not None:
            self._observed[request.token] = (answer.content.format, request.path or ROOT)
            if len(self._observed) > MAX_PENDING:
                self._observed.popitem(last=False)

    def _notification(self, message: Notify) -> Content:
        """In the format of the answer to the Observe (RFC 7641 section 4.4), unless it cannot tell times."""
        form, path = self._observed.get(message.token, (Format.SENML_CBOR, ROOT))
        timed = any(record.time is not None for record in message.records)
        if timed and form not in (Format.SENML_CBOR, Format.SENML_JSON):
            form = Format.SENML_CBOR
        return self._content(message.records, form, path, self._root)

    def _content(self, records: tuple[Record, ...], wish: int | None, path: Path, root: str) -> Content:
        try:
            form = Format(wish or 0)
        except ValueError as exc:
            raise InvalidValueError("format", wish, ", ".join(str(int(known)) for known in Format)) from exc
        return Content(form, content.encode(form, records, path, self._definitions, root))


def _why(exc: DecodeError | InvalidValueError) -> str | Refusal:
    return Refusal.of(exc) if isinstance(exc, InvalidValueError) else str(exc)


def wire_of(plan: DevicePlan, settings: SimulatorSettings, definitions: Definitions) -> Wire:
    """The wire of a device, in the profile of its group or of the settings."""
    if (plan.group.lwm2m_profile or settings.lwm2m_profile) == "json":
        return JsonWire(plan.id, settings.lwm2m_prefix)
    return OmaWire(
        plan.id,
        definitions,
        settings.lwm2m_prefix,
        extensions=settings.lwm2m_extensions,
        root=plan.group.lwm2m_root or settings.lwm2m_root,
    )
