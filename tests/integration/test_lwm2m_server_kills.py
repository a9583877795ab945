"""kill -9 in the middle of observations, queued requests and a firmware campaign."""

import asyncio
import signal
from contextlib import asynccontextmanager

import aiohttp

from lwm2m_rig import Device, device, spawn_server
from support import eventually, free_port


class Killable:
    """A server in a process of its own, that can be killed and started again."""

    def __init__(self, mosquitto, directory, session):
        self._arguments = (mosquitto, directory / "s.db", free_port(), directory / "log.txt")
        self._session = session
        self.process = spawn_server(*self._arguments)

    async def call(self, method, path, **options):
        url = f"http://127.0.0.1:{self._arguments[2]}{path}"
        async with self._session.request(method, url, **options) as response:
            return response.status, await response.json(content_type=None)

    async def up(self):
        async def healthy():
            try:
                return (await self.call("GET", "/api/health"))[0] == 200
            except aiohttp.ClientError as error:
                raise AssertionError(self._arguments[3].read_text()[-500:]) from error

        await eventually(healthy, "the server is up", 20)

    async def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(5)
        self.process = spawn_server(*self._arguments)
        await self.up()


@asynccontextmanager
async def killable(mosquitto, directory):
    async with aiohttp.ClientSession() as session:
        server = Killable(mosquitto, directory, session)
        try:
            await server.up()
            yield server
        finally:
            server.process.terminate()
            server.process.wait(10)


async def test_observations_requests_and_a_campaign_survive_a_kill(mosquitto, tmp_path, unique):
    state = {"/5/0/3": 0, "/5/0/5": 0}
    sent = []

    def answer(_, command):
        sent.append(command)
        path = command.get("path")
        if command["operation"] in ("read", "observe"):
            return {"code": "2.05", "values": {path: state.get(path, 85)}}
        if command["operation"] == "execute":
            state.update({"/5/0/3": 0, "/5/0/5": 1})
        return {"code": "2.04"}

    async with killable(mosquitto, tmp_path) as server:
        sleepy = unique("sleepy")
        gone = Device(mosquitto, sleepy, will=f"spBv1.0/IIoT/NDEATH/{sleepy}")
        await asyncio.to_thread(gone.register)
        gone.vanish()

        async def offline():
            return not (await server.call("GET", f"/api/clients/{sleepy}"))[1]["online"]

        await eventually(offline, "the will arrives")
        _, waiting = await server.call("POST", f"/api/clients/{sleepy}/3/0/4")
        assert waiting["delayed"]
        with device(mosquitto, unique("busy")) as made:
            made.answer = answer
            await asyncio.to_thread(made.register, bindingMode="U")
            base = f"/api/clients/{made.name}"
            assert (await server.call("POST", f"{base}/3/0/9/observe"))[0] == 200
            _, before = await server.call("GET", f"{base}/observations")
            _, package = await server.call("POST", "/api/firmware/packages", data=b"package")
            request = {"package": package["id"], "endpoints": [made.name], "timeout": 60}
            _, campaign = await server.call("POST", "/api/firmware/campaigns", json=request)
            url = f"/api/firmware/campaigns/{campaign['id']}"

            async def step(wanted):
                progress = (await server.call("GET", url))[1]["devices"][made.name]
                assert progress["step"] == wanted, progress
                return True

            await eventually(lambda: step("downloading"), "the device downloads", 20)
            await server.kill()
            state["/5/0/3"] = 2
            made.say(f"notify/{before[0]['token']}", {"values": {"/3/0/9": 84}})

            async def known():
                _, body = await server.call("GET", f"{base}/3/0/9/history")
                return body and body[0]["values"][-1]["value"] == "84"

            await eventually(known, "the notification is understood")
            await eventually(lambda: step("succeeded"), "the campaign ends", 30)
            assert [c["operation"] for c in sent].count("execute") == 1
        with device(mosquitto, sleepy) as again:
            again.answer = answer
            again.say("send", {"values": {"/3/0/9": 1}})

            async def answered():
                _, page = await server.call("GET", "/api/events?limit=1000")
                return [e for e in page["events"] if e["data"].get("requestId") == waiting["requestId"]]

            (event,) = await eventually(answered, "the queued request is answered")
            assert event["data"]["response"]["status"] == "CHANGED(204)"
