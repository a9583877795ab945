"""A group of bridges that share the devices: who is in it, and which of them is the receiver.

The broker decides who receives: all have one MQTT identity, and it lets one connection have the session.
A bridge that finds a receiver among its peers delivers for it; one that finds none becomes the receiver.
Should two do so at the same moment, the later throws the earlier out, which then finds it.
"""

import asyncio
import random
import ssl
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from iiot.telemetry import get_logger
from mqtt_redpanda_bridge import peer_tls
from mqtt_redpanda_bridge.dispatch import Dispatcher
from mqtt_redpanda_bridge.link import Answer, Link, MemberLink, ReceiverLink
from mqtt_redpanda_bridge.settings import Address, BridgeSettings, parse_peers

DIAL_TIMEOUT: Final = 2.0
"""Seconds for a peer to answer."""
SIGN_OF_LIFE: Final = 1.0
"""Seconds between signs of life."""
SILENCE: Final = 6.0
"""Seconds without one after which the other side counts as gone."""
HESITATION: Final = 1.0
"""Seconds, at most, before a bridge that found no receiver becomes it: two that start together differ."""
LONGEST_HESITATION: Final = 4.0
"""The same after several looks that were in vain."""

log = get_logger(__name__)


class Group:
    """This bridge among its peers.

    Args:
        settings: where peers are; members prove with the certificate of the MQTT identity that they are some.
        dispatcher: takes in members while this bridge is the receiver.
        open_link: makes the link to a receiver, from this bridge's name and identity.

    Attributes:
        is_receiver: what this bridge says when it is asked.
        is_connected: told to the members: whether the receiver has its MQTT connection.
        link: the link to the receiver that this bridge delivers for.
    """

    def __init__(
        self,
        settings: BridgeSettings,
        dispatcher: Dispatcher,
        open_link: Callable[[str, str | None], ReceiverLink],
    ) -> None:
        self.is_receiver = False
        self.is_connected = False
        self.link: ReceiverLink | None = None
        self._settings = settings
        self._peers = parse_peers(settings.peers)
        self._dispatcher = dispatcher
        self._open_link = open_link
        self._name = uuid.uuid4().hex
        self._identity = peer_tls.identity(settings) if self._peers else None
        self._members: set[MemberLink] = set()
        self._own: set[Address] = set()
        self._is_alone = not self._peers
        self._claims = False
        """This bridge is about to become the receiver."""
        self._has_rival = False
        """So is another."""

    @property
    def role(self) -> str:
        """For people."""
        if self.is_receiver:
            return "receiver"
        return "member" if self.link is not None else "looks for the receiver"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Answer peers while the context lasts."""
        if not self._peers:
            yield
            return
        loop = asyncio.get_running_loop()
        tls = peer_tls.context(self._settings, ssl.Purpose.CLIENT_AUTH)
        where = self._settings.http_host, self._settings.peer_port
        server = await loop.create_server(self._accept, *where, ssl=tls)
        log.info("listening_for_members", host=where[0], port=where[1])
        beating = asyncio.create_task(self._beat(), name="signs of life")
        try:
            yield
        finally:
            beating.cancel()
            server.close()
            for link in (*self._members, self.link):
                if link is not None:
                    link.close()
                    await asyncio.wait([link.closed], timeout=DIAL_TIMEOUT)

    async def find_receiver(self, *, hesitate: bool) -> ReceiverLink | None:
        """A link to the receiver, which counts on this bridge from now on; None when there is none.

        Args:
            hesitate: make sure that no other bridge is about to become the receiver; the answer None then
                binds the others, so the caller becomes it.
        """
        link = await self._look()
        longest = HESITATION
        while link is None and hesitate and not self._is_alone:
            await asyncio.sleep(random.uniform(0.1, longest))  # noqa: S311 - jitter
            # Said before the look: of two that do this at the same time, one at least sees the other.
            self._claims = True
            link = await self._look()
            if link is None and not self._has_rival:
                return None
            self._claims = False
            longest = min(2 * longest, LONGEST_HESITATION)
        return link

    def take_over(self) -> None:
        """This bridge is the receiver."""
        self.is_receiver, self._claims = True, False

    def give_up(self) -> None:
        """This bridge is not the receiver any more: members look for the next one."""
        self.is_receiver = self._claims = False
        for link in tuple(self._members):
            link.close()

    async def _look(self) -> ReceiverLink | None:
        addresses = await self._resolve()
        self._has_rival = False
        links = await asyncio.gather(*(self._dial(address) for address in addresses))
        self._is_alone = self._own.issuperset(addresses)
        found = [link for link in links if link is not None]
        for link in found[1:]:
            link.close()
        if not found:
            return None
        found[0].enlist()
        return found[0]

    async def _dial(self, address: Address) -> ReceiverLink | None:
        loop = asyncio.get_running_loop()
        link: ReceiverLink | None = None
        try:
            tls = peer_tls.context(self._settings, ssl.Purpose.SERVER_AUTH)
            async with asyncio.timeout(DIAL_TIMEOUT):
                _, link = await loop.create_connection(
                    lambda: self._open_link(self._name, self._identity), *address, ssl=tls
                )
                answer = await asyncio.shield(link.answer)
                if link.peer == self._name:
                    self._own.add(address)
                elif answer is Answer.RECEIVER:
                    return link
                elif answer is Answer.CLAIMS:
                    self._has_rival = True
        except (OSError, TimeoutError) as exc:
            log.debug("peer_does_not_answer", peer=address, error=str(exc))
        if link is not None:
            link.abort()
        return None

    async def _resolve(self) -> list[Address]:
        loop = asyncio.get_running_loop()
        found: dict[Address, None] = {}
        for host, port in self._peers:
            try:
                answers = await loop.getaddrinfo(host, port, proto=6)
            except OSError as exc:
                log.debug("peer_without_address", peer=host, error=str(exc))
                continue
            found |= dict.fromkeys((str(answer[4][0]), port) for answer in answers)
        return list(found)

    def _accept(self) -> MemberLink:
        link = MemberLink(self._name, self._identity, self._dispatcher, self._answer)
        self._members.add(link)
        link.closed.add_done_callback(lambda _: self._members.discard(link))
        return link

    def _answer(self) -> Answer:
        if self.is_receiver:
            return Answer.RECEIVER
        return Answer.CLAIMS if self._claims else Answer.NO

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SIGN_OF_LIFE)
            for member in tuple(self._members):
                member.beat(connected=self.is_connected)
                _abort_if_silent(member, loop.time())
            if (link := self.link) is not None:
                link.beat()
                if not link.is_paused:
                    _abort_if_silent(link, loop.time())


def _abort_if_silent(link: Link, now: float) -> None:
    if now - link.last_heard > SILENCE:
        log.warning("member_is_silent", member=link.peer, seconds=SILENCE)
        link.abort()
