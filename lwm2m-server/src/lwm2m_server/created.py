"""Where a Create made its instance: the OMA binding has no place for that in an answer (Transport 8.5)."""

from collections.abc import Iterable

from iiot.errors import IiotError
from iiot.lwm2m.message import Command, Link, Operation, Response
from iiot.lwm2m.path import Path
from lwm2m_server.operations import Operations


async def find(
    operations: Operations,
    endpoint: str,
    target: Path,
    before: Iterable[Link],
    timeout: float,  # noqa: ASYNC109
) -> Path | None:
    """The instance that was made, told by which there are now and were not before.

    Args:
        operations: asks the device.
        endpoint: the device.
        target: the object.
        before: the object list before the Create.
        timeout: s to wait for the answer.

    Returns:
        None when the device does not say, or several are new.
    """
    command = Command(operation=Operation.DISCOVER, path=target, depth=1)
    try:
        answer = await operations.request(endpoint, command, timeout)
    except IiotError:
        return None
    links = answer.links if isinstance(answer, Response) else ()
    new = {link.path for link in links} - {link.path for link in before}
    made = [path for path in new if path.level == "instance" and target.contains(path)]
    return made[0] if len(made) == 1 else None
