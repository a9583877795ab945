"""The JSON profile on the server's MQTT session."""

from collections.abc import Callable
from typing import Final

from iiot.budgets import BudgetError
from iiot.errors import DecodeError, IiotError, InvalidValueError
from iiot.lwm2m import json_profile
from iiot.lwm2m.json_profile import Topic
from iiot.lwm2m.message import Code, Downlink, Operation, Refusal, Response
from iiot.mqtt import Message, Subscription
from lwm2m_server.channel import Metrics, TooLargeError, check_size, drop, fail, sendable
from lwm2m_server.operations import Operations
from lwm2m_server.uplink import Uplink

_OPERATIONS: Final = {
    "reg": Operation.REGISTER,
    "update": Operation.UPDATE,
    "dereg": Operation.DEREGISTER,
    "send": Operation.SEND,
    "notify": Operation.NOTIFY,
    "bootstrap": Operation.BOOTSTRAP_REQUEST,
}


class JsonChannel:
    """Topics and JSON bodies to messages and back.

    Args:
        prefix: topic level before `lwm2m`.
        uplink: acts on devices' messages.
        operations: takes devices' responses.
        publish: hands a message to the broker; what cannot leave now is lost.
        metrics: counts.
    """

    name = "json"

    def __init__(
        self,
        prefix: str,
        uplink: Uplink,
        operations: Operations,
        publish: Callable[[str, bytes], None],
        metrics: Metrics,
    ) -> None:
        self._prefix = prefix
        self._uplink = uplink
        self._operations = operations
        self._publish = publish
        self._metrics = metrics

    def subscriptions(self) -> tuple[Subscription, ...]:
        """Everything that devices publish."""
        return tuple(map(Subscription, json_profile.up_filters(self._prefix)))

    def owns(self, topic: str) -> bool:
        """Whether it is a topic of this profile, with a legal endpoint."""
        try:
            json_profile.parse_topic(topic, self._prefix)
        except IiotError:
            return False
        return True

    def encode(self, endpoint: str, message: Downlink) -> tuple[str, bytes]:
        """Topic and payload for a device.

        Raises:
            InvalidValueError: JSON cannot express it, or it is too large.
        """
        return sendable(*json_profile.encode_downlink(endpoint, message, self._prefix))

    def sent(self, topic: str, payload: bytes) -> None:
        """Of no interest here: nothing comes back."""

    def handle(self, message: Message) -> None:
        """Act on a device's message."""
        topic = json_profile.parse_topic(message.topic, self._prefix)
        try:
            self._handle(topic, message)
        except Exception as error:  # noqa: BLE001 - what nobody foresaw gets an answer, too
            fail(self._metrics, message, error)
            self._fail(topic)

    def _handle(self, topic: Topic, message: Message) -> None:
        try:
            check_size(message.payload)
            decoded = json_profile.decode_uplink(topic, message.payload)
        except InvalidValueError as error:
            large = isinstance(error, TooLargeError)
            code = Code.REQUEST_ENTITY_TOO_LARGE if large else Code.BAD_REQUEST
            self._refuse(topic, message, code, error, Refusal.of(error))
        except DecodeError as error:
            if topic.kind not in _OPERATIONS and topic.kind != "resp":
                drop(self._metrics, message, "topic")
                return
            if isinstance(error, BudgetError):
                self._metrics.budget_exceeded(error.budget)
            snippet = message.payload[:60].decode("utf-8", "replace")
            reason = Refusal("payload", snippet, f"a JSON object ({error})")
            self._refuse(topic, message, Code.BAD_REQUEST, error, reason)
        else:
            if isinstance(decoded, Response):
                self._uplink.heard(topic.endpoint)
                self._operations.handle(topic.endpoint, decoded)
                message.ack()
            else:
                reply = self._replier(topic.endpoint)
                self._uplink.handle(topic.endpoint, decoded, self.name, reply, message.ack)

    def _fail(self, topic: Topic) -> None:
        error = DecodeError("the server failed on it")
        if topic.kind == "resp":
            self._operations.not_understood(topic.endpoint, topic.token, error)
        elif topic.kind in _OPERATIONS:
            code, operation = Code.INTERNAL_SERVER_ERROR, _OPERATIONS[topic.kind]
            self._replier(topic.endpoint)(Response(code=code, operation=operation, error=str(error)))

    def _refuse(self, topic: Topic, message: Message, code: Code, error: IiotError, reason: Refusal) -> None:
        if topic.kind == "resp":
            self._operations.not_understood(topic.endpoint, topic.token, error)
            message.ack()
            return
        reply = self._replier(topic.endpoint)
        self._uplink.refuse(topic.endpoint, _OPERATIONS[topic.kind], code, reason, reply, message.ack)

    def _replier(self, endpoint: str) -> Callable[[Response], None]:
        def reply(response: Response) -> None:
            if response.operation is not Operation.NOTIFY:  # which has no answer
                self._publish(*self.encode(endpoint, response))

        return reply
