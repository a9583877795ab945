"""Object lists that devices sent with a Profile ID, so that the next time the id is enough (Core 6.2.1)."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from iiot.errors import InvalidValueError
from iiot.lwm2m.message import Link, Register, Update
from iiot.lwm2m.profile_id import split

MAX_KNOWN: Final = 20_000
M = TypeVar("M", Register, Update)


@dataclass(frozen=True, slots=True)
class _ObjectList:
    links: tuple[Link, ...]
    root: str
    formats: tuple[int, ...]


class ProfileIds:
    """What each device's Profile IDs stand for.

    Each device for itself: an id is a hash that nobody here can check, and one device must not be able to say
    what another has.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], _ObjectList] = OrderedDict()

    def learn(
        self,
        endpoint: str,
        profile_id: str | None,
        links: tuple[Link, ...],
        root: str,
        formats: tuple[int, ...],
    ) -> None:
        """Note the list that came with an id; of several, nobody knows which stands for what."""
        if profile_id is None or not links or len(split(profile_id)) > 1:
            return
        self._known[endpoint, profile_id] = _ObjectList(links, root, formats)
        self._known.move_to_end((endpoint, profile_id))
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def complete(self, endpoint: str, message: M) -> M:
        """The message with the object list that it gives in full, as Profile IDs, or both.

        Raises:
            InvalidValueError: what an id stands for is not known (4.09).
        """
        ids = () if message.profile_id is None else split(message.profile_id)
        if not ids or (message.links and len(ids) == 1):
            return message
        known = [self._known.get((endpoint, one)) for one in ids]
        lists = [objects for objects in known if objects is not None]
        if len(lists) < len(known):
            raise InvalidValueError("pid", message.profile_id, "one that came with its object list before")
        links = [link for objects in lists for link in objects.links] + [*(message.links or ())]
        told = replace(message, links=tuple({link.path: link for link in links}.values()))
        if message.links:
            return told
        return replace(told, root=lists[0].root, formats=lists[0].formats)
