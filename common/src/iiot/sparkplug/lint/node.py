"""Judges the sessions of one edge node: births, deaths, order, rebirths."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from iiot.sparkplug.lint.content import brief
from iiot.sparkplug.lint.definitions import Definition, check_instances, definitions_of
from iiot.sparkplug.lint.findings import Findings, Kind, Subject
from iiot.sparkplug.lint.metrics import bd_seq_of
from iiot.sparkplug.lint.order import Gap, Order, SequenceWatch
from iiot.sparkplug.lint.rebirths import REBIRTH_PATIENCE, RebirthWatch
from iiot.sparkplug.lint.unit import UnitWatch
from iiot.sparkplug.sequence import FAILED_CONNECTS, distance, follows
from iiot.sparkplug.topic import DATA, MessageType

if TYPE_CHECKING:
    from collections.abc import Callable

    from iiot._pb.sparkplug_b_pb2 import Payload as Pb
    from iiot.sparkplug.lint.content import Note
    from iiot.sparkplug.lint.events import Publish
    from iiot.sparkplug.lint.timers import Timers

GAP_PATIENCE: Final = 2_000
"""ms that missing messages may take to arrive."""
DEATH_PATIENCE: Final = 3_000
"""ms that the NDEATH of a session may come after the NBIRTH of the next."""
_MOST_GAPS: Final = 64
"""Gaps that wait for their messages at a time; seq has 256 numbers, and more gaps leave little between."""
_LONGEST_WAY: Final = 60_000
"""ms that a message may need to the observer; a timestamp further off is that of another clock."""
_ODD_BIRTHS: Final = 3
"""One or two sessions with a bdSeq that does not follow may be a peer that miscounts."""


class NodeWatch:
    """One edge node and its devices.

    Attributes:
        subject: the edge node.
        alive: None while no NBIRTH or NDEATH told; then whether a session is on.
        devices: by device id.
        messages: how many were seen.
        bd_seq: of the latest session that is known.
        round: changes with each NBIRTH and NDEATH.

    Args:
        missed: told the message before which others are missing for good.
    """

    def __init__(
        self,
        group: str,
        edge_node: str,
        findings: Findings,
        timers: Timers,
        missed: Callable[[NodeWatch, Publish], None],
    ) -> None:
        self.subject = Subject(Kind.EDGE_NODE, group, edge_node)
        self.alive: bool | None = None
        self.unit = UnitWatch()
        self.devices: dict[str, UnitWatch] = {}
        self.messages = 0
        self.bd_seq: int | None = None
        self.second_publisher = False
        self._findings = findings
        self._timers = timers
        self._missed = missed
        self._order = SequenceWatch()
        self._definitions: dict[str, Definition] | None = None
        self._aliases: dict[int, tuple[str, str]] = {}
        self._first_data: MessageType | None = None
        self._awaited: set[str] = set()
        self._seen_born: set[str] = set()
        self.round = 0
        self._heard = False
        self._rebirths = RebirthWatch(self._report_node, timers)
        self._odd_births = 0
        self._odd_death: tuple[int, Publish] | None = None
        self._replaced: dict[int, Publish] = {}

    def reset(self) -> None:
        """The observer missed messages: nothing is known any more."""
        self.alive, self.bd_seq, self._definitions, self._heard = None, None, None, False
        self._rebirths.reset()
        self.unit, self.devices = UnitWatch(), {device: UnitWatch() for device in self.devices}
        self._order = SequenceWatch()
        self._aliases, self._awaited, self._seen_born, self._first_data = {}, set(), set(), None
        self._odd_death, self._replaced = None, {}
        self.round += 1

    @property
    def asked(self) -> bool:
        """Whether a rebirth was asked for since the latest NBIRTH or NDEATH."""
        return self._rebirths.requested

    def of_device(self, device: str) -> Subject:
        """The subject for one of the devices."""
        return Subject(Kind.DEVICE, self.subject.group, self.subject.name, device)

    def rebirth_requested(self, event: Publish) -> None:
        """A host asked for a rebirth."""
        if self.alive is not False:
            self._rebirths.request(event, alive=self._heard)

    def receive(self, verb: MessageType, device: str | None, payload: Pb, event: Publish) -> None:
        """Judge a message of the edge node or one of its devices."""
        self.messages += 1
        self._heard = True
        if verb is MessageType.NBIRTH:
            self._node_birth(payload, event)
        elif verb is MessageType.NDEATH:
            self._node_death(payload, event)
        else:
            self._in_session(verb, device, payload, event)

    def finish(self) -> None:
        """Nothing more will come: what is missing now stays missing."""
        for gap in list(self._order.gaps):
            self._close_gap(gap)
        for bd_seq in list(self._replaced):
            self._check_death(bd_seq)
        self._rebirths.finish()

    # Sessions

    def _node_birth(self, payload: Pb, event: Publish) -> None:
        bd_seq = bd_seq_of(payload)
        same_session = self.alive is True and bd_seq == self.bd_seq
        if None not in (bd_seq, self.bd_seq) and self.alive is not None:
            self._check_bd_seq(self.bd_seq or 0, bd_seq or 0, event)
        self._awaited = {name for name, unit in self.devices.items() if unit.born} if same_session else set()
        self._rebirths.born(event.time, same_session=same_session)
        self._first_data, self._aliases = None, {}
        self.alive, self.bd_seq = True, bd_seq
        self._odd_death = None
        for unit in self.devices.values():
            unit.born, unit.announced = False, False
        if payload.HasField("seq") and payload.seq < 256:
            self._order.restart(payload.seq)
        else:
            self._order.stop()
        self._definitions = definitions_of(payload)
        self._learn(MessageType.NBIRTH, None, self.unit, payload)
        self.round += 1
        if self._awaited:
            self._timers.at(event.time + REBIRTH_PATIENCE, partial(self._check_complete, self.round))

    def _check_bd_seq(self, before: int, now: int, event: Publish) -> None:
        if self.alive and before == now:
            return
        if self.alive:
            self._replaced_session(before, now, event)
        elif self._rebirths.death_by_request:
            self._findings.report("rebirth-with-death", self.subject, f"NDEATH, then NBIRTH with bdSeq {now}")
        if follows(before, now) or self.second_publisher:
            return
        self._odd_births += 1
        again = " again, after its NDEATH" if before == now else f" after {before}"
        self._findings.report("bdseq-order", self.subject, f"bdSeq {now}{again}")
        if self._odd_births >= _ODD_BIRTHS:
            self.second_publisher = True
            what = "sessions take turns whose bdSeq does not follow each other"
            self._findings.report("edge-node-not-unique", self.subject, what)

    def _replaced_session(self, before: int, now: int, event: Publish) -> None:
        """An NBIRTH with another bdSeq came, and the session before had not ended."""
        detail = f"NBIRTH with bdSeq {now} while the session with bdSeq {before} had not ended"
        if now in self._replaced and now:
            self.second_publisher = True
            self._findings.report("edge-node-not-unique", self.subject, f"bdSeq {before} and {now} in turn")
        elif self._rebirths.pending:
            self._findings.report("rebirth-bdseq", self.subject, f"bdSeq {before} became {now} by a rebirth")
        elif self._odd_death is not None:
            died, death = self._odd_death
            what = f"the session with bdSeq {before} ended with an NDEATH with bdSeq {died}"
            self._findings.report("ndeath-bdseq", self.subject, what, event=death)
        else:
            self._replaced[before] = event
            self._timers.at(event.time + DEATH_PATIENCE, partial(self._check_death, before, detail))

    def _check_death(self, bd_seq: int, detail: str = "an NBIRTH replaced a session without NDEATH") -> None:
        event = self._replaced.pop(bd_seq, None)
        if event is not None and not self.second_publisher:
            self._findings.report("session-without-death", self.subject, detail, event=event)

    def _node_death(self, payload: Pb, event: Publish) -> None:
        bd_seq = bd_seq_of(payload)
        if bd_seq is not None and self._replaced.pop(bd_seq, None) is not None:
            return
        if not self.alive:
            self._rebirths.died(event.time)
            return
        if None not in (bd_seq, self.bd_seq) and bd_seq != self.bd_seq:
            age = distance(bd_seq or 0, self.bd_seq or 0)
            if 0 < age <= FAILED_CONNECTS:
                self._odd_death = bd_seq or 0, event  # the late will of a session before, perhaps
                return
            detail = f"NDEATH with bdSeq {bd_seq}, NBIRTH with {self.bd_seq}"
            self._findings.report("ndeath-bdseq", self.subject, detail)
            self.reset()
            return
        self._rebirths.died(event.time)
        self.alive = False
        self._order.stop()
        for unit in (self.unit, *self.devices.values()):
            unit.born, unit.announced = False, False
        self._awaited, self._seen_born = set(), set()
        self.round += 1

    # Within a session

    def _in_session(self, verb: MessageType, device: str | None, payload: Pb, event: Publish) -> None:
        subject = self.subject if device is None else self.of_device(device)
        if self.alive is False:
            self._findings.report("before-nbirth", subject, f"{verb} after NDEATH, no NBIRTH between", verb)
        elif payload.HasField("seq") and payload.seq < 256:
            self._check_seq(verb, payload.seq, subject, event)
        self._rebirths.heard(verb, _made_at(payload, event))
        unit = self.unit
        if device is not None:
            unit = self.devices.get(device) or self.devices.setdefault(
                device, UnitWatch(born=False if self.alive else None)
            )
        if verb is MessageType.DBIRTH:
            self._device_birth(device or "", unit, payload)
        elif verb is MessageType.DDEATH:
            if unit.born is False and self.alive and not self._order.gaps:
                self._findings.report("ddeath-without-birth", subject, "no DBIRTH before it in this session")
            unit.born, unit.announced = False, False
            self._awaited.discard(device or "")
        elif verb in DATA:
            self._data(verb, subject, unit, payload)

    def _check_seq(self, verb: MessageType, seq: int, subject: Subject, event: Publish) -> None:
        order, detail = self._order.accept(seq, verb, event)
        if order is Order.GAP:
            gap = self._order.gaps[-1]
            self._timers.at(event.time + GAP_PATIENCE, partial(self._close_gap, gap))
            if len(self._order.gaps) > _MOST_GAPS:
                self._close_gap(self._order.gaps[0])
        elif order is Order.WRONG and not self.second_publisher:
            self._findings.report("seq-order", self.subject, f"{verb}: {detail}", verb)
        elif order is Order.SECOND_PUBLISHER:
            self.second_publisher = True
            self._findings.report("edge-node-not-unique", self.subject, detail)

    def _close_gap(self, gap: Gap) -> None:
        if gap in self._order.gaps:
            self._order.gaps.remove(gap)
            if gap.missing and not self.second_publisher:
                self._findings.report("seq-order", self.subject, gap.detail, gap.verb, gap.event)
                self._missed(self, gap.event)

    def _device_birth(self, device: str, unit: UnitWatch, payload: Pb) -> None:
        subject = self.of_device(device)
        if self._first_data is not None and unit.born is False:
            if device in self._awaited:
                detail = f"{self._first_data} between the NBIRTH of a rebirth and this DBIRTH"
                self._findings.report("dbirth-after-data", subject, detail, self._first_data)
            elif device not in self._seen_born:
                self._findings.report("dbirth-late", subject, f"after the first {self._first_data}")
        self._awaited.discard(device)
        self._seen_born.add(device)
        if unit.takes_turns(payload):
            detail = "births with two sets of metrics take turns, without DDEATH between"
            self._findings.report("device-not-unique", subject, detail)
        self._learn(MessageType.DBIRTH, device, unit, payload)

    def _data(self, verb: MessageType, subject: Subject, unit: UnitWatch, payload: Pb) -> None:
        if self.alive and self.unit.announced and self._first_data is None:
            self._first_data = verb
        if unit.born is False and self.alive is not False:
            self._findings.report("before-dbirth", subject, f"{verb} without DBIRTH before it")
        note = self._note(subject)
        unit.check_data(verb, payload, note)
        if self._definitions is not None:
            check_instances(verb, payload, self._definitions, note)

    def _learn(self, verb: MessageType, device: str | None, unit: UnitWatch, payload: Pb) -> None:
        subject = self.subject if device is None else self.of_device(device)
        note = self._note(subject)
        self._learn_aliases(device or "", unit, payload, note)
        unit.learn(payload)
        if self._definitions is not None:
            check_instances(verb, payload, self._definitions, note)

    def _learn_aliases(self, device: str, unit: UnitWatch, payload: Pb, note: Note) -> None:
        """Judge the aliases of a birth, which replaces the one that `unit` has learnt."""
        for alias in unit.aliases:
            if self._aliases.get(alias, ("", ""))[0] == device:
                self._aliases.pop(alias, None)
        for metric in payload.metrics:
            if metric.HasField("alias"):
                owner = (device, metric.name)
                first = self._aliases.setdefault(metric.alias, owner)
                if first != owner:
                    whose = " and ".join(
                        f"{unit or 'the edge node'}/{brief(name)}" for unit, name in (first, owner)
                    )
                    note("alias-not-unique", f"alias {metric.alias}: {whose}")

    def _check_complete(self, born_in: int) -> None:
        if self.round == born_in and self._awaited:
            missing = sorted(self._awaited)[:5]
            self._findings.report("rebirth-unanswered", self.subject, f"no DBIRTH of {missing} within 10 s")

    def _note(self, subject: Subject) -> Note:
        return partial(self._report, subject)

    def _report_node(self, key: str, detail: str, event: Publish | None = None) -> None:
        self._findings.report(key, self.subject, detail, event=event)

    def _report(self, subject: Subject, key: str, detail: str, variant: str = "") -> None:
        self._findings.report(key, subject, detail, variant)


def _made_at(payload: Pb, event: Publish) -> int:
    """When data was made, as far as its own time can tell; a queue on the way is no fault of its maker."""
    on_its_way = event.time - payload.timestamp
    return payload.timestamp if 0 <= on_its_way < _LONGEST_WAY else event.time
