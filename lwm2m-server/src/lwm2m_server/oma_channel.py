"""The OMA MQTT binding on the server's MQTT session: shared topics, echoes, repeats, content formats."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from iiot.budgets import BudgetError
from iiot.errors import DecodeError, IiotError, InvalidValueError
from iiot.lwm2m import content, oma_profile
from iiot.lwm2m.alternate_path import NONE
from iiot.lwm2m.content import SINGLE, Format, link
from iiot.lwm2m.message import (
    Code,
    Command,
    Content,
    Downlink,
    Notify,
    Operation,
    Refusal,
    Register,
    Response,
    Send,
)
from iiot.lwm2m.oma_body import Reader, utf8
from iiot.lwm2m.oma_exchange import Echoes, Replays
from iiot.lwm2m.oma_keys import Up
from iiot.lwm2m.oma_profile import BOOTSTRAP, MANAGEMENT, Topic
from iiot.lwm2m.path import ROOT, Path
from iiot.mqtt import Message, Subscription
from lwm2m_server.channel import Metrics, TooLargeError, check_size, drop, fail, sendable
from lwm2m_server.format_choice import choose
from lwm2m_server.models import Models
from lwm2m_server.operations import Operations
from lwm2m_server.registry import Registration
from lwm2m_server.uplink import DeviceMessage, Uplink

SEND_FORMATS: Final = (Format.LWM2M_CBOR, Format.SENML_CBOR, Format.SENML_JSON)
_BOOTSTRAP_CODES: Final = range(6)
_LINKS: Final = (Operation.DISCOVER, Operation.BOOTSTRAP_DISCOVER)
_VALUES: Final = (
    Operation.READ,
    Operation.READ_COMPOSITE,
    Operation.OBSERVE,
    Operation.OBSERVE_COMPOSITE,
    Operation.BOOTSTRAP_READ,
)
_OPERATIONS: Final[dict[tuple[str, int], Operation]] = {
    (MANAGEMENT, Up.REGISTER): Operation.REGISTER,
    (MANAGEMENT, Up.UPDATE): Operation.UPDATE,
    (MANAGEMENT, Up.DEREGISTER): Operation.DEREGISTER,
    (MANAGEMENT, Up.NOTIFY): Operation.NOTIFY,
    (MANAGEMENT, Up.SEND): Operation.SEND,
    (BOOTSTRAP, Up.BOOTSTRAP_REQUEST): Operation.BOOTSTRAP_REQUEST,
    (BOOTSTRAP, Up.BOOTSTRAP_PACK): Operation.BOOTSTRAP_PACK,
}


class OmaChannel:
    """CBOR maps on `lwm2m/rd/{endpoint}` and `lwm2m/bs/{endpoint}` to messages and back.

    Args:
        prefix: topic level before `lwm2m`.
        extensions: fill the binding's holes; without, what it cannot say is refused.
        models: known objects in the versions of a device, for the types of values.
        uplink: acts on devices' messages.
        operations: takes devices' responses, and knows the requests that they answer.
        observed: the path of an observation, given endpoint and token; None when there is none.
        registration: the registration of a device, which says its alternate path and content formats.
        publish: hands a message to the broker; what cannot leave now is lost.
        metrics: counts.
        now: monotonic time in s.
    """

    name = "oma"

    def __init__(
        self,
        prefix: str,
        extensions: bool,
        models: Models,
        uplink: Uplink,
        operations: Operations,
        observed: Callable[[str, str], Path | None],
        registration: Callable[[str], Registration | None],
        publish: Callable[[str, bytes], None],
        metrics: Metrics,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prefix = prefix
        self._extensions = extensions
        self._models = models
        self._uplink = uplink
        self._operations = operations
        self._observed = observed
        self._registration = registration
        self._publish = publish
        self._metrics = metrics
        self._now = now
        self._echoes = Echoes()
        self._replays = Replays()

    def subscriptions(self) -> tuple[Subscription, ...]:
        """Both topics of every device, without what we publish there (MQTT 5)."""
        return tuple(Subscription(f, no_local=True) for f in oma_profile.server_filters(self._prefix))

    def owns(self, topic: str) -> bool:
        """Whether it is a topic of this profile, with a legal endpoint."""
        try:
            oma_profile.parse_topic(topic, self._prefix)
        except IiotError:
            return False
        return True

    def encode(self, endpoint: str, message: Downlink) -> tuple[str, bytes]:
        """Topic and payload for a device.

        Raises:
            InvalidValueError: the binding cannot express it, or it is too large.
        """
        interface, root = MANAGEMENT, NONE
        if isinstance(message, Command):
            if message.operation.startswith("bootstrap"):
                interface = BOOTSTRAP
                message = self._with_content(endpoint, message, None)
            else:
                root = self._root(endpoint)
                message = self._with_content(endpoint, message, self._registration(endpoint))
        elif message.operation in (Operation.BOOTSTRAP_REQUEST, Operation.BOOTSTRAP_PACK):
            interface = BOOTSTRAP
        if isinstance(message, Response) and message.records:
            payload = content.encode(Format.SENML_CBOR, message.records, ROOT, self._models.of(endpoint))
            message = replace(message, records=(), content=Content(Format.SENML_CBOR, payload))
        payload = oma_profile.encode_downlink(message, extensions=self._extensions, root=root)
        return sendable(str(Topic(endpoint, interface, self._prefix)), payload)

    def sent(self, topic: str, payload: bytes) -> None:
        """Remember what leaves, to know it when it comes back."""
        self._echoes.sent(topic, payload, self._now())

    def handle(self, message: Message) -> None:
        """Act on a message of a device; drop what we published ourselves, and what is repeated."""
        try:
            self._handle(message)
        except Exception as error:  # noqa: BLE001 - what nobody foresaw gets an answer, too
            fail(self._metrics, message, error)
            self._fail(message)

    def _handle(self, message: Message) -> None:
        topic = oma_profile.parse_topic(message.topic, self._prefix)
        payload, now = message.payload, self._now()
        if self._echoes.is_echo(message.topic, payload, now):
            drop(self._metrics, message, "echo")
            return
        repeated = self._replays.answer(message.topic, payload, now)
        if repeated is not None:
            if repeated:
                self._emit(message.topic, repeated)
            drop(self._metrics, message, "repeated")
            return
        try:
            check_size(payload)
            decoded = oma_profile.decode_uplink(topic, payload)
            if decoded is None:
                drop(self._metrics, message, "echo")
            elif isinstance(decoded, Response):
                self._uplink.heard(topic.endpoint)
                self._respond(topic.endpoint, decoded)
                message.ack()
            else:
                self._act(topic, self._with_records(topic.endpoint, decoded), message)
        except (InvalidValueError, DecodeError) as error:
            self._refuse(topic, message, error)

    def _act(self, topic: Topic, decoded: DeviceMessage, message: Message) -> None:
        if isinstance(decoded, Register):
            self._replays.forget(message.topic)
        elif not isinstance(decoded, Notify):  # equal values make equal notifications
            self._replays.answered(message.topic, message.payload, b"", self._now())
        reply = self._replier(topic.endpoint, message)
        self._uplink.handle(topic.endpoint, decoded, self.name, reply, message.ack)

    def _respond(self, endpoint: str, response: Response) -> None:
        command = self._operations.command(endpoint, response.token)
        if command is not None:
            try:
                response = self._read(endpoint, response, command)
            except IiotError as error:
                self._note_budget(error)
                self._operations.not_understood(endpoint, response.token, error)
                return
        self._operations.handle(endpoint, response)

    def _root(self, endpoint: str) -> str:
        known = self._registration(endpoint)
        return NONE if known is None else known.root

    def _read(self, endpoint: str, response: Response, command: Command) -> Response:
        body, root = response.content, self._root(endpoint)
        if body is None:
            return response
        if command.operation in _LINKS:
            return replace(response, links=link.decode(utf8(body.payload), root).links)
        path = command.path or ROOT
        # Nothing at all is an object without instances, or an empty text.
        if command.operation in _VALUES and (body.payload or (body.format in SINGLE and path.is_value)):
            return replace(response, records=content.decode(body, path, self._models.of(endpoint), root))
        return response

    def _with_records(self, endpoint: str, message: DeviceMessage) -> DeviceMessage:
        root, definitions = self._root(endpoint), self._models.of(endpoint)
        match message:
            case Send(content=Content() as body):
                if body.format not in SEND_FORMATS:
                    allowed = ", ".join(str(int(form)) for form in SEND_FORMATS)
                    raise InvalidValueError("ct", body.format, allowed)
                records = content.decode(body, ROOT, definitions, root, keep_faults=True)
                return replace(message, records=records, content=None)
            case Notify(content=Content() as body):
                path = self._observed(endpoint, message.token)
                # Of an observation that is not known, nothing is understood and nothing is lost.
                if path is None:
                    return replace(message, records=(), content=None)
                records = content.decode(body, path, definitions, root, keep_faults=True)
                return replace(message, records=records, content=None)
        return message

    def _fail(self, message: Message) -> None:
        try:
            topic, body = oma_profile.parse_topic(message.topic, self._prefix), Reader(message.payload)
        except IiotError:
            return
        error = DecodeError("the server failed on it")
        if body.is_response:
            self._operations.not_understood(topic.endpoint, body.token, error)
            return
        answer = Response(token=body.token, code=Code.INTERNAL_SERVER_ERROR, error=str(error))
        self._emit(str(topic), oma_profile.encode_downlink(answer, extensions=self._extensions))

    def _refuse(self, topic: Topic, message: Message, error: InvalidValueError | DecodeError) -> None:
        self._note_budget(error)
        try:
            body = Reader(message.payload)
            operation = None if body.is_response else _OPERATIONS.get((topic.interface, body.operation))
        except IiotError:
            drop(self._metrics, message, "undecodable")
            return
        if body.is_response:
            self._operations.not_understood(topic.endpoint, body.token, error)
            message.ack()
            return
        code, reason = _code(error, operation, body), _reason(error)
        if operation is None:
            answer = Response(token=body.token, code=code, error=str(error))
            self._emit(str(topic), oma_profile.encode_downlink(answer, extensions=self._extensions))
            drop(self._metrics, message, "operation")
            return
        reply = self._replier(topic.endpoint, message)
        self._uplink.refuse(topic.endpoint, operation, code, reason, reply, message.ack, token=body.token)

    def _note_budget(self, error: IiotError) -> None:
        if isinstance(error, BudgetError):
            self._metrics.budget_exceeded(error.budget)

    def _with_content(self, endpoint: str, command: Command, known: Registration | None) -> Command:
        if not command.records or command.content is not None:
            return command
        root, spoken = (NONE, ()) if known is None else (known.root, known.formats)
        form = choose(command, spoken) if command.format is None else Format(command.format)
        definitions = self._models.of(endpoint)
        payload = content.encode(form, command.records, command.path or ROOT, definitions, root)
        return replace(command, content=Content(form, payload), records=(), format=None)

    def _replier(self, endpoint: str, message: Message) -> Callable[[Response], None]:
        def reply(response: Response) -> None:
            if response.operation is Operation.NOTIFY:
                return  # which has no answer
            topic, payload = self.encode(endpoint, response)
            if response.operation is not Operation.REGISTER:
                self._replays.answered(message.topic, message.payload, payload, self._now())
            self._emit(topic, payload)

        return reply

    def _emit(self, topic: str, payload: bytes) -> None:
        self.sent(topic, payload)
        self._publish(topic, payload)


def _code(error: IiotError, operation: Operation | None, body: Reader) -> Code:
    if isinstance(error, TooLargeError):
        return Code.REQUEST_ENTITY_TOO_LARGE
    if operation is None and body.operation not in _BOOTSTRAP_CODES:
        return Code.NOT_IMPLEMENTED
    return Code.BAD_REQUEST


def _reason(error: InvalidValueError | DecodeError) -> Refusal | str:
    return Refusal.of(error) if isinstance(error, InvalidValueError) else str(error)
