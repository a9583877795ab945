"""What devices say on their own: registrations and values become state, events and answers."""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, Protocol

from iiot.errors import InvalidValueError
from iiot.lwm2m import json_values
from iiot.lwm2m import registration as registration_check
from iiot.lwm2m.message import (
    SUCCESS,
    BootstrapRequest,
    Code,
    Deregister,
    Notify,
    Operation,
    Record,
    Refusal,
    Register,
    Response,
    Send,
    Update,
)
from iiot.lwm2m.path import Path
from iiot.lwm2m.records import outside, usable
from iiot.lwm2m.registration import RefusedError
from iiot.sparing import SparingLog
from iiot.telemetry import get_logger
from lwm2m_server.bootstrap import FORMATS, Bootstrap
from lwm2m_server.duplicates import Duplicates
from lwm2m_server.events import EventLog
from lwm2m_server.models import Models
from lwm2m_server.observations import Observations
from lwm2m_server.operations import Operations
from lwm2m_server.profile_ids import M
from lwm2m_server.registry import Clock, Registration, Registry
from lwm2m_server.values import Values

DeviceMessage = Register | Update | Deregister | Send | Notify | BootstrapRequest
_Registered = Register | Update | Deregister | Send | Notify
Reply = Callable[[Response], None]

_OPERATIONS: Final[dict[type[object], Operation]] = {
    Register: Operation.REGISTER,
    Update: Operation.UPDATE,
    Deregister: Operation.DEREGISTER,
    Send: Operation.SEND,
    Notify: Operation.NOTIFY,
    BootstrapRequest: Operation.BOOTSTRAP_REQUEST,
}
_ALWAYS_ANSWERED: Final = (Operation.REGISTER, Operation.DEREGISTER)
_PATHS_SHOWN: Final = 20
"""Observed paths that a refusal lists at most."""

log = get_logger("lwm2m_server.uplink")
_sparing = SparingLog(log, time.monotonic)
_life = SparingLog(log, time.monotonic)
"""Comings and goings, which a flood of refusals shall not hide."""


class _Effect(NamedTuple):
    """What a message did: its event, the registration to store, and the fault of which its sender is told."""

    kind: str
    data: dict[str, Any]
    registration: Registration | None = None
    fault: Refusal | None = None


class Metrics(Protocol):
    """What is counted here."""

    def message(self, operation: Operation, outcome: str) -> None:
        """A device's message was `accepted`, `refused` or a `duplicate`."""

    def records_refused(self, operation: Operation, count: int) -> None:
        """Of an accepted message some records were refused."""

    def unfit(self, operation: Operation) -> None:
        """An answer or notification did not fit what was asked."""


class Uplink:
    """Acts on devices' messages, each of which makes one event.

    The answer leaves, and the message is acknowledged to the broker, when the event is durable: what was
    not stored is delivered again, and what was stored is recognised by its number.
    """

    def __init__(
        self,
        registry: Registry,
        events: EventLog,
        duplicates: Duplicates,
        models: Models,
        operations: Operations,
        observations: Observations,
        values: Values,
        clock: Clock,
        bootstrap: Bootstrap,
        metrics: Metrics,
    ) -> None:
        self._registry = registry
        self._events = events
        self._duplicates = duplicates
        self._models = models
        self._operations = operations
        self._observations = observations
        self._values = values
        self._clock = clock
        self._bootstrap = bootstrap
        self._metrics = metrics
        registry.on_sleep = self._note_sleep

    def handle(
        self, endpoint: str, message: DeviceMessage, profile: str, reply: Reply, done: Callable[[], None]
    ) -> None:
        """Act on a message.

        Args:
            endpoint: who sent it.
            message: what it says.
            profile: `json` or `oma`.
            reply: sends the answer.
            done: called when the message has had its effect, on disk too.
        """
        operation = _OPERATIONS[type(message)]
        if isinstance(message, BootstrapRequest):
            self._handle_bootstrap(endpoint, message, profile, reply, done)
            return
        seq = message.seq
        if seq is not None and not self._duplicates.is_new(endpoint, seq):
            self._metrics.message(operation, "duplicate")
            _sparing.warning("message_repeated", endpoint=endpoint, operation=operation, seq=seq)
            self._answer(operation, message.token, reply)
            done()
            return
        try:
            self.heard(endpoint)
            kind, data, registration, fault = self._apply(endpoint, message, profile)
        except RefusedError as refusal:
            self.refuse(endpoint, operation, refusal.code, refusal.reason, reply, done, message)
            return
        self._metrics.message(operation, "accepted")
        if isinstance(message, Register | Deregister):
            _life.info(kind, endpoint=endpoint, profile=profile)

        def durable() -> None:
            if fault is None:
                self._answer(operation, message.token, reply)
            else:
                code = Code.BAD_REQUEST
                reply(Response(token=message.token, code=code, operation=operation, error=fault))
            done()
            if isinstance(message, Register) and registration is not None:
                self._begin(registration)

        event = self._events.append(
            kind,
            endpoint,
            data | _ledger(message),
            seq=seq,
            registration=registration.dump() if registration else None,
            deregistered=kind == "deregistered",
            on_durable=durable,
        )
        if isinstance(message, Send):
            self._values.sent(endpoint, event)
        self._operations.pump(endpoint)

    def heard(self, endpoint: str) -> None:
        """A device said something: it is there, and listens."""
        for kind in self._registry.heard(endpoint):
            registration = self._registry.get(endpoint)
            if registration is not None:
                data = {"registrationId": registration.id}
                self._events.append(kind, endpoint, data, registration=registration.dump())

    def refuse(
        self,
        endpoint: str,
        operation: Operation,
        code: Code,
        reason: str | Refusal,
        reply: Reply,
        done: Callable[[], None],
        message: DeviceMessage | None = None,
        *,
        token: str = "",
    ) -> None:
        """Turn a message down: a counter, a log line, an event that accounts for it, and the answer."""
        self._metrics.message(operation, "refused")
        error = json_values.error_body(reason)
        _sparing.warning(
            "message_refused", endpoint=endpoint, operation=operation, code=code.dotted, error=error
        )
        ledger = _ledger(message) if message is not None else {}

        def durable() -> None:
            reply(
                Response(
                    token=message.token if message is not None else token,
                    code=code,
                    operation=operation,
                    error=reason,
                )
            )
            done()

        self._events.append(
            "refused",
            endpoint,
            {"operation": operation, "code": code.dotted, "error": error} | ledger,
            seq=ledger.get("seq"),
            on_durable=durable,
        )

    def presence(self, endpoint: str, online: bool, done: Callable[[], None]) -> None:
        """A Sparkplug birth or death certificate: the device's connection came or went."""
        registration = self._registry.set_online(endpoint, online)
        if registration is None:
            done()
            return
        kind = "online" if online else "offline"
        _life.info(kind, endpoint=endpoint)
        self._events.append(
            kind,
            endpoint,
            {"registrationId": registration.id},
            registration=registration.dump(),
            on_durable=done,
        )

    def expire(self) -> None:
        """End the registrations whose lifetime has passed."""
        for registration in self._registry.expire():
            _life.info("registration_expired", endpoint=registration.endpoint, lifetime=registration.lifetime)
            data = {"registrationId": registration.id, "lifetime": registration.lifetime}
            self._events.append("expired", registration.endpoint, data, deregistered=True)
            self._operations.ended(registration.endpoint)

    def _answer(self, operation: Operation, token: str, reply: Reply) -> None:
        if operation in _ALWAYS_ANSWERED or (token and operation is not Operation.NOTIFY):
            reply(Response(token=token, code=SUCCESS[operation], operation=operation))

    def _handle_bootstrap(
        self, endpoint: str, message: BootstrapRequest, profile: str, reply: Reply, done: Callable[[], None]
    ) -> None:
        operation, form = Operation.BOOTSTRAP_REQUEST, message.preferred_format
        code, reason = Code.BAD_REQUEST, "no bootstrap configuration is stored for this device"
        if form is not None and form not in FORMATS:
            code, reason = Code.UNSUPPORTED_CONTENT_FORMAT, f"format {form} is not offered here"
        elif self._bootstrap.knows(endpoint):
            self._metrics.message(operation, "accepted")
            records = self._bootstrap.pack(endpoint) if message.pack else None
            code = Code.CONTENT if message.pack else Code.CHANGED
            reply(Response(token=message.token, code=code, operation=operation, records=records or ()))
            done()
            if not message.pack:
                self._bootstrap.start(endpoint, profile, form)
            return
        self.refuse(endpoint, operation, code, reason, reply, done, message)

    def _begin(self, registration: Registration) -> None:
        """A Register has been answered: now the device takes requests."""
        registration.ready = True
        if self._registry.get(registration.endpoint) is registration:
            self._operations.registered(registration.endpoint)
            self._observations.registered(registration.endpoint)

    def _note_sleep(self, registration: Registration) -> None:
        data = {"registrationId": registration.id}
        self._events.append("sleeping", registration.endpoint, data)

    def _apply(self, endpoint: str, message: _Registered, profile: str) -> _Effect:
        if isinstance(message, Register):
            return self._register(message, profile)
        registration = self._registry.get(endpoint)
        if registration is None:
            raise RefusedError(Code.NOT_FOUND, "not registered: Register first")
        match message:
            case Update():
                return self._update(endpoint, message, profile)
            case Deregister():
                self._registry.remove(endpoint)
                self._operations.ended(endpoint)
                return _Effect("deregistered", {"registrationId": registration.id})
            case Send():
                return self._send(endpoint, registration, message)
            case Notify():
                return self._notify(endpoint, registration, message)

    def _send(self, endpoint: str, registration: Registration, message: Send) -> _Effect:
        records, told, fault = self._taken(message, registration)
        self._check_registered(registration, records)
        self._values.record(endpoint, records, self._clock.wall_ms())
        return _Effect("send", json_values.bodies(records) | told, fault=fault)

    def _notify(self, endpoint: str, registration: Registration, message: Notify) -> _Effect:
        observation = self._observations.known(endpoint, message.token)
        if observation is None:
            self._observations.refuse(endpoint, message.token)
            raise RefusedError(Code.NOT_FOUND, "no observation has this token; it is being cancelled")
        strange = outside((r.path for r in message.records if r.path.ids), observation.paths)
        if strange is not None:
            self._metrics.unfit(Operation.NOTIFY)
            allowed = f"a path at or below {', '.join(map(str, observation.paths[:_PATHS_SHOWN]))}"
            raise RefusedError(Code.BAD_REQUEST, Refusal("path", str(strange), allowed))
        records, told, fault = self._taken(message, registration)
        self._observations.notified(observation)
        self._values.record(endpoint, records, self._clock.wall_ms())
        data: dict[str, Any] = {
            "token": message.token,
            "kind": "composite" if observation.composite else "single",
        }
        data |= {"paths": [*map(str, observation.paths)]}
        return _Effect("notification", data | json_values.bodies(records) | told, fault=fault)

    def _register(self, message: Register, profile: str) -> _Effect:
        message = self._completed(message.endpoint, message)
        registration_check.check(message, profile, self._models.told(message.links))
        registration = self._registry.register(message, profile)
        self._values.record(message.endpoint, message.records, self._clock.wall_ms())
        data: dict[str, Any] = {
            "registrationId": registration.id,
            "lifetime": message.lifetime,
            "version": message.version,
            "bindingMode": message.binding,
            "profile": profile,
            "objects": json_values.objects(message.links, message.records),
        }
        data |= {} if message.profile_id is None else {"pid": message.profile_id}
        return _Effect("registered", data, registration)

    def _update(self, endpoint: str, message: Update, profile: str) -> _Effect:
        message = self._completed(endpoint, message)
        definitions = self._models.of(endpoint) if message.links is None else self._models.told(message.links)
        registration_check.check(message, profile, definitions)
        registration = self._registry.update(endpoint, message)
        self._values.record(endpoint, message.records, self._clock.wall_ms())
        data: dict[str, Any] = {"registrationId": registration.id if registration else None}
        if message.lifetime is not None:
            data["lifetime"] = message.lifetime
        if message.binding is not None:
            data["bindingMode"] = message.binding
        if message.links is not None:
            data["objects"] = json_values.objects(message.links, message.records)
        return _Effect("updated", data, registration)

    def _taken(
        self, message: Send | Notify, registration: Registration
    ) -> tuple[tuple[Record, ...], dict[str, Any], Refusal | None]:
        """What can be used of a report; what its event tells of the rest, and the first fault.

        Raises:
            RefusedError: nothing can be used.
        """
        # Content formats were read by the types of the resources already.
        check = self._typed(registration) if registration.profile == "json" else None
        records, faults = usable(message.records, self._clock.wall_ms() / 1000, check)
        if not faults:
            return records, {}, None
        if not records:
            raise RefusedError(Code.BAD_REQUEST, faults[0])
        self._metrics.records_refused(_OPERATIONS[type(message)], len(faults))
        return records, json_values.refused(faults), faults[0]

    def _typed(self, registration: Registration) -> Callable[[Record], Record]:
        definitions = self._models.of(registration.endpoint)

        def check(record: Record) -> Record:
            definitions.typed(record.path, record.value)
            return record

        return check

    def _completed(self, endpoint: str, message: M) -> M:
        try:
            return self._registry.profile_ids.complete(endpoint, message)
        except InvalidValueError as error:
            raise RefusedError(Code.CONFLICT, Refusal.of(error)) from error

    def _check_registered(self, registration: Registration, records: Iterable[Record]) -> None:
        # Core 6.4.7; in the JSON profile a device may send what it did not care to list.
        if registration.profile != "oma":
            return
        listed = {link.path.ids[:2] for link in registration.links}
        for record in records:
            if record.path.ids[:2] not in listed:
                what = Path(record.path.ids[:2])
                raise RefusedError(Code.NOT_FOUND, f"object instance {what} is not registered")


def _ledger(message: DeviceMessage) -> dict[str, Any]:
    if isinstance(message, BootstrapRequest):
        return {}
    numbers = {"seq": message.seq, "timestamp": message.timestamp}
    return {name: value for name, value in numbers.items() if value is not None}
