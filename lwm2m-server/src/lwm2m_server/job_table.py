"""Requests to devices that are not over: those that wait, by device, and those that await an answer."""

from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from lwm2m_server.request_queue import MAX_PENDING, MAX_QUEUED, Job, UnavailableError


class JobTable:
    """Each job is in one place: in its device's queue, in flight, or sent past the queue.

    Attributes:
        count: jobs that are not over.
    """

    def __init__(self) -> None:
        self.count = 0
        self._queues: dict[str, deque[Job]] = {}
        self._in_flight: dict[str, Job] = {}
        self._awaited: dict[tuple[str, str], Job] = {}

    @property
    def awaited(self) -> int:
        """Jobs that were sent and have no answer."""
        return len(self._awaited)

    @property
    def queued(self) -> int:
        """Jobs that wait to be sent."""
        return sum(map(len, self._queues.values()))

    def check_room(self, endpoint: str) -> None:
        """Refuse one more job that somebody asks for.

        Raises:
            UnavailableError: too many wait, for this device or for all.
        """
        if self.count >= MAX_PENDING:
            raise UnavailableError(f"{MAX_PENDING} requests already wait for devices")
        if len(self._queues.get(endpoint, ())) >= MAX_QUEUED:
            raise UnavailableError(f"{MAX_QUEUED} requests already wait for {endpoint}")

    def wait(self, job: Job, *, first: bool = False) -> None:
        """Put a job into its device's queue, at the end or before all others."""
        queue = self._queues.setdefault(job.endpoint, deque())
        if first:
            queue.appendleft(job)
        else:
            queue.append(job)

    def next(self, endpoint: str) -> Job | None:
        """Take the first job of a queue; None while one is in flight, or when none waits."""
        queue = self._queues.get(endpoint)
        if not queue or endpoint in self._in_flight:
            return None
        job = queue.popleft()
        if not queue:
            del self._queues[endpoint]
        return job

    def fly(self, job: Job) -> None:
        """The job is sent: its device is sent no other one until it lands."""
        self._in_flight[job.endpoint] = self._awaited[job.key] = job

    def pass_by(self, job: Job) -> None:
        """The job is sent past the queue: nothing waits behind it."""
        self._awaited[job.key] = job

    def land(self, job: Job) -> None:
        """The job is no longer in flight."""
        if self._in_flight.get(job.endpoint) is job:
            del self._in_flight[job.endpoint]
        if self._awaited.get(job.key) is job:
            del self._awaited[job.key]

    def withdraw(self, job: Job) -> None:
        """The job is over: neither in flight nor queued."""
        self.land(job)
        queue = self._queues.get(job.endpoint)
        if queue is not None:
            with suppress(ValueError):
                queue.remove(job)
            if not queue:
                del self._queues[job.endpoint]
        if not job.over:
            job.over = True
            self.count -= 1

    def awaiting(self, endpoint: str, token: str) -> Job | None:
        """The job that an answer with this token is for."""
        return self._awaited.get((endpoint, token))

    def flying(self, endpoint: str) -> Job | None:
        """The job of a device that is in flight."""
        return self._in_flight.get(endpoint)

    def of(self, endpoint: str) -> list[Job]:
        """What waits for a device, the one in flight first."""
        flying = self._in_flight.get(endpoint)
        return ([] if flying is None else [flying]) + [*self._queues.get(endpoint, ())]

    def overdue(self, now: float) -> list[Job]:
        """Jobs for whose answer nobody but the server waits, in vain at `now` (monotonic s)."""
        return [job for job in self._awaited.values() if job.waiter is None and now >= job.deadline]

    def expired(self, wall: int) -> Iterator[Job]:
        """Jobs that waited until they were worthless at `wall` (ms since 1970)."""
        for queue in [*self._queues.values()]:
            yield from [job for job in queue if job.waiter is None and job.expires <= wall]
