"""What a server says of itself when its database takes nothing, and how it goes on afterwards."""

import asyncio
import sqlite3
from contextlib import closing

from lwm2m_rig import device, running_server
from support import eventually


async def _health_says(server, status, reason=""):
    async def said():
        found, told = await server.get("/api/health")
        return (found == status and reason in told.get("store", "")) and told

    return await eventually(said, f"health is {status} {reason}", seconds=20)


async def test_a_locked_database_is_told_by_health_and_nothing_is_lost(mosquitto, unique, tmp_path):
    database = tmp_path / "s.db"
    async with running_server(mosquitto, database) as server:
        with device(mosquitto, unique("locked")) as made:
            await asyncio.to_thread(made.register)
            with closing(sqlite3.connect(database, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                made.say("send", {"values": {"/3303/0/5700": 1}, "seq": 1, "token": "a"})
                told = await _health_says(server, 503, "locked")
                assert told["status"] != "healthy"
                assert made.received.empty()
                other.execute("ROLLBACK")
            await _health_says(server, 200)
            assert await asyncio.to_thread(made.hears, "ack/send") == {"code": "2.04", "token": "a"}
            assert await server.kinds(made.name) == ["registered", "send"]


async def test_a_full_disk_is_told_by_health_and_nothing_is_lost(mosquitto, unique, tmp_path):
    async with running_server(mosquitto, tmp_path / "s.db") as server:
        with device(mosquitto, unique("full")) as made:
            await asyncio.to_thread(made.register)
            connection = server.server.events._store._write
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count={pages}")
            made.say("send", {"values": {"/3303/0/5750": "x" * 20_000}, "seq": 1, "token": "a"})
            await _health_says(server, 503, "full")
            assert made.received.empty()
            connection.execute("PRAGMA max_page_count=1000000")
            await _health_says(server, 200)
            assert await asyncio.to_thread(made.hears, "ack/send") == {"code": "2.04", "token": "a"}
            assert await server.kinds(made.name) == ["registered", "send"]
