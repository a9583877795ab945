"""kill -9 in the middle of observations, queued requests and a firmware campaign."""

import asyncio
import signal
from contextlib import asynccontextmanager

import aiohttp
import pytest

from lwm2m_rig import Device, device, running_server, spawn_server, spawn_simulator
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


@pytest.mark.parametrize(("profile", "method"), [("json", "push"), ("oma", "pull")])
async def test_a_device_killed_while_it_downloads_is_observed_and_updated_when_it_is_back(
    mosquitto, tmp_path, profile, method
):
    settings = {"LWM2M_PROFILE": profile, "FLEET_ID": f"kill{profile}"}
    name = f"device-temp-kill{profile}-001"
    async with running_server(mosquitto, tmp_path / "server.db", firmware_https_port=0) as server:
        process = spawn_simulator(mosquitto, tmp_path, **settings)
        try:
            base = f"/api/clients/{name}"

            async def online():
                status, body = await server.get(base)
                return status == 200 and body["online"] and body

            first = await eventually(online, "it registers", 30)
            period = f"{base}/3303/0/5700/attributes?pmin=0&pmax=1"
            assert (await server.call("PUT", period))[0] == 200
            assert (await server.call("POST", f"{base}/3303/0/5700/observe"))[0] == 200
            _, package = await server.call("POST", "/api/firmware/packages", data=b"new firmware")
            request = {"package": package["id"], "endpoints": [name], "method": method, "timeout": 120}
            _, campaign = await server.call("POST", "/api/firmware/campaigns", json=request)
            url = f"/api/firmware/campaigns/{campaign['id']}"

            async def step(*wanted):
                progress = (await server.get(url))[1]["devices"][name]
                assert progress["step"] in wanted, progress
                return progress

            await eventually(lambda: step("downloading"), "it downloads", 30)
            process.kill()
            await asyncio.to_thread(process.wait, 5)
            process = spawn_simulator(mosquitto, tmp_path, **settings)

            async def back():
                now = await online()
                return now and now["registrationId"] != first["registrationId"]

            await eventually(back, "it registers again", 30)
            # New attributes, since a device keeps none over a restart; the observation is made by the server.
            assert (await server.call("PUT", period))[0] == 200
            _, before = await server.get(f"{base}/observations")

            async def notified():
                _, now = await server.get(f"{base}/observations")
                count = {known["token"]: known["notifications"] for known in now}
                token = next(known["token"] for known in before if known["path"] == "/3303/0/5700")
                return count[token] > next(k["notifications"] for k in before if k["token"] == token)

            await eventually(notified, "it notifies again", 30)
            progress = await eventually(lambda: step("succeeded", "failed"), "the campaign ends", 90)
            assert progress["step"] == "succeeded", progress
            _, body = await server.get(f"{base}/3/0/3")
            assert body["content"]["value"] == package["id"][:8]
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 15)
