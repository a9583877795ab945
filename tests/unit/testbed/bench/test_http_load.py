"""The HTTP load generator counts what a server answers, however the bytes arrive."""

import asyncio

import pytest

from testbed.bench.http_load import HttpLoad, run


def load(port, **changes):
    usual = {
        "port": port, "paths": ["/a?x=1", "/b?x=1"], "connections": 2, "rate": 0.0, "expected": "good",
        "follow": False, "warmup": 0.05, "seconds": 0.2,
    }  # fmt: skip
    return HttpLoad(**usual | changes)


class Server:
    """Answers each request with the next of its answers, in pieces."""

    def __init__(self, *answers):
        self.answers, self.asked, self.tasks = list(answers), [], []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_):
        self.server.close()
        await asyncio.gather(*self.tasks)

    async def serve(self, reader, writer):
        self.tasks.append(asyncio.current_task())
        while request := await reader.readline():
            self.asked.append(request.split()[1].decode())
            head = await reader.readuntil(b"\r\n\r\n")
            if not self.answers:
                continue
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            for at in range(0, len(answer), 40):
                writer.write(answer[at : at + 40])
                await asyncio.sleep(0)
            if b"Connection: close" in head:
                break
        writer.close()
        await writer.wait_closed()


def http(body, status=b"200 OK"):
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\nX: y\r\n\r\n%b" % (status, len(body), body)


async def test_paths_in_turn_and_bodies_in_pieces():
    server = Server(http(b"good " * 50))
    async with server as port:
        found = await run(load(port))
    assert set(server.asked) == {"/a?x=1", "/b?x=1"}
    assert found.answers > 10
    assert found.bytes == 250 * found.answers
    assert found.failed == found.unanswered == found.events == 0
    assert 0 < found.p50 <= found.p99 <= found.max


@pytest.mark.parametrize("answer", [http(b"good", b"500 Oh"), http(b"other")])
async def test_what_is_not_the_answer_has_failed(answer):
    async with Server(answer) as port:
        found = await run(load(port))
    assert found.answers == 0
    assert found.failed > 0
    assert found.p50 is None


async def test_requests_that_nobody_answers(monkeypatch):
    monkeypatch.setattr("testbed.bench.http_load.ANSWER_TURNS", 5)
    async with Server() as port:
        found = await run(load(port, connections=3))
    assert found.answers == found.failed == 0
    assert found.unanswered == 3


async def test_a_fixed_rate():
    server = Server(http(b"good"))
    async with server as port:
        found = await run(load(port, rate=100.0, seconds=0.5))
    assert 25 <= found.answers <= 75
    assert found.unanswered == 0


async def test_a_feed_is_followed_to_its_end_and_from_the_start_again():
    pages = [
        http(b'{"events":[],"next":9,"oldest":10,"latest":12}'),
        http(b'{"events":[good],"next":11,"oldest":10,"latest":12}'),
        http(b'{"events":[good],"next":12,"oldest":10,"latest":12}'),
        http(b'{"events":[good],"next":11,"oldest":10,"latest":12}'),
    ]
    server = Server(*pages)
    async with server as port:
        await run(load(port, paths=["/e?limit=2"], connections=1, follow=True))
    assert server.asked[1:4] == ["/e?limit=2&after=9", "/e?limit=2&after=11", "/e?limit=2&after=9"]
