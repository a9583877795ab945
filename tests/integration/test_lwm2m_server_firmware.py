"""Firmware campaigns on a real broker, over devices whose object 5 is written here from the specification."""

import asyncio
import ssl
import threading
import urllib.request

import cbor2
import pytest

from lwm2m_rig import campaign_over, device, oma_device, running_server
from support import eventually

PACKAGE = b"firmware " * 1000


class Object5:
    """The state machine of object 5, and what it was given."""

    def __init__(self, download_result=0, update_result=1, trust=None):
        self.state, self.result, self.package = 0, 0, None
        self.trust = trust
        self.download_result, self.update_result = download_result, update_result
        self.updates = 0

    def write(self, number, value):
        if number == 1 and value == "":
            self.state, self.result = 0, 0
            return
        self.state, self.result = 1, 0
        threading.Thread(target=self._download, args=(number, value)).start()

    def _download(self, number, value):
        if number == 1:
            context = ssl.create_default_context(cafile=self.trust) if value.startswith("https") else None
            opened = urllib.request.urlopen(value, timeout=5, context=context)  # noqa: S310 - from the test
            with opened as answer:
                value = answer.read()
        self.package = value
        if self.download_result:
            self.state, self.result = 0, self.download_result
        else:
            self.state = 2

    def update(self):
        if self.state != 2:
            return False
        self.updates += 1
        self.state, self.result = 0, self.update_result
        return True


def answering_json(five):
    def answer(_, command):
        number = int(command.get("path", "/5/0/0").split("/")[3])
        match command["operation"]:
            case "read" | "observe":
                value = five.state if number == 3 else five.result
                return {"code": "2.05", "values": {command["path"]: value}}
            case "write":
                five.write(number, command["value"])
            case "execute":
                return {"code": "2.04"} if five.update() else {"code": "4.05"}
        return {"code": "2.04"}

    return answer


def answering_oma(five):
    def reply(request):
        number = int(request.get(5, "/5/0/0").split("/")[3])
        match request[1]:
            case 9 | 20:
                return {19: 60, 7: cbor2.dumps(five.state if number == 3 else five.result)}
            case 12:
                five.write(number, request[7] if number == 0 else request[7].decode())
            case 16:
                return {18: 204} if five.update() else {18: 405}
        return {18: 204}

    return reply


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr("lwm2m_server.firmware.campaigns.ASK_EVERY", 1.0)
    monkeypatch.setattr("lwm2m_server.firmware.campaigns.LOOK_EVERY", 0.05)


@pytest.fixture
async def server(mosquitto, tmp_path, fast):
    async with running_server(mosquitto, tmp_path / "server.db", firmware_https_port=0) as client:
        yield client


async def upload(server):
    status, package = await server.call("POST", "/api/firmware/packages?name=app", data=PACKAGE)
    assert (status, package["size"], package["name"]) == (201, len(PACKAGE), "app")
    return package["id"]


async def test_many_devices_are_updated_by_pull_and_push(server, mosquitto, unique):
    package = await upload(server)
    trust = str(mosquitto.certs / "ca" / "ca.crt")
    with (
        device(mosquitto, unique("pulls")) as good,
        device(mosquitto, unique("pulls-bad")) as bad,
        oma_device(mosquitto, unique("pushed")) as pushed,
    ):
        fives = [Object5(trust=trust), Object5(download_result=5, trust=trust), Object5(update_result=8)]
        good.answer, bad.answer = answering_json(fives[0]), answering_json(fives[1])
        pushed.reply = answering_oma(fives[2])
        objects = {"3": {"0": {}}, "5": {"0": {}}}
        for made in (good, bad):
            await asyncio.to_thread(made.register, objects=objects, bindingMode="U")
        await asyncio.to_thread(pushed.register)
        request = {"package": package, "filter": "pulls", "timeout": 20}
        status, pull = await server.call("POST", "/api/firmware/campaigns", json=request)
        assert (status, pull["uri"].split(":")[0], pull["total"]) == (201, "https", 2)
        again = {"package": package, "endpoints": [good.name]}
        assert (await server.call("POST", "/api/firmware/campaigns", json=again))[0] == 409
        assert (await server.call("DELETE", f"/api/firmware/packages/{package}"))[0] == 409
        request = {"package": package, "endpoints": [pushed.name], "method": "push", "timeout": 20}
        _, push = await server.call("POST", "/api/firmware/campaigns", json=request)
        done = await eventually(lambda: campaign_over(server, pull), "the pull ends", 20)
        assert (done["progress"]["succeeded"], done["progress"]["failed"]) == (1, 1)
        assert done["devices"][bad.name]["detail"] == "integrity check failed"
        assert done["devices"][good.name]["step"] == "succeeded"
        done = await eventually(lambda: campaign_over(server, push), "the push ends", 20)
        assert done["devices"][pushed.name]["detail"] == "the update failed"
        assert [five.package for five in fives] == [PACKAGE] * 3
        assert [five.updates for five in fives] == [1, 0, 1]
        await eventually(lambda: server.server.operations.pending == 0, "the observations end")
        assert len(server.server.observations) == 0
    steps = [e["data"]["step"] for e in await server.events(good.name) if e["type"] == "firmware"]
    assert steps == ["transferring", "downloading", "updating", "succeeded"]


async def test_a_device_that_cannot_fetch_the_uri_is_not_given_it(server, mosquitto, unique):
    package = await upload(server)
    with device(mosquitto, unique("coap")) as made:
        five = Object5()
        answer = answering_json(five)

        def only_coap(token, command):
            if command.get("path") == "/5/0/8":
                return {"code": "2.05", "values": {"/5/0/8": {"0": 0, "1": 1}}}
            return answer(token, command)

        made.answer = only_coap
        await asyncio.to_thread(made.register, bindingMode="U")
        request = {"package": package, "endpoints": [made.name], "timeout": 20}
        _, campaign = await server.call("POST", "/api/firmware/campaigns", json=request)
        done = await eventually(lambda: campaign_over(server, campaign), "the campaign ends", 20)
        detail = "unsupported protocol: the device fetches coap, coaps (/5/0/8), not https"
        assert (done["devices"][made.name]["step"], done["devices"][made.name]["detail"]) == (
            "failed",
            detail,
        )
        assert five.state == 0
        for uri in ("ftp://host/fw", "coap:", "host/fw"):
            status, told = await server.call("POST", "/api/firmware/campaigns", json=request | {"uri": uri})
            assert (status, told["field"]) == (400, "uri")


async def test_a_campaign_goes_on_after_a_restart(mosquitto, tmp_path, unique, fast):
    five = Object5()
    with device(mosquitto, unique("slow")) as made:
        made.answer = answering_json(five)
        async with running_server(mosquitto, tmp_path / "s.db", mqtt_session_expiry=60) as server:
            await asyncio.to_thread(made.register, bindingMode="U")
            package = await upload(server)
            five._download = lambda *_: None
            request = {"package": package, "endpoints": [made.name], "timeout": 30}
            _, campaign = await server.call("POST", "/api/firmware/campaigns", json=request)
            await eventually(lambda: five.state == 1, "the device downloads")
        five.state = 2
        async with running_server(mosquitto, tmp_path / "s.db") as server:
            done = await eventually(lambda: campaign_over(server, campaign), "the campaign ends", 20)
            assert done["devices"][made.name]["step"] == "succeeded"
            assert five.updates == 1
            url = f"/api/firmware/campaigns/{campaign['id']}"
            assert (await server.call("DELETE", url))[0] == 204
            assert (await server.get(url))[0] == 404


async def test_a_campaign_is_cancelled_and_devices_that_are_not_there_time_out(server):
    package = await upload(server)
    request = {"package": package, "endpoints": ["nobody", "no-one"], "concurrency": 1, "timeout": 0.3}
    _, campaign = await server.call("POST", "/api/firmware/campaigns", json=request)
    done = await eventually(lambda: campaign_over(server, campaign), "all time out")
    assert {d["detail"] for d in done["devices"].values()} == {"not done within 0.3 s: pending"}
    _, campaign = await server.call("POST", "/api/firmware/campaigns", json=request | {"timeout": 60})
    url = f"/api/firmware/campaigns/{campaign['id']}"
    assert (await server.call("DELETE", url))[0] == 409
    _, cancelled = await server.call("POST", f"{url}/cancel")
    assert (cancelled["state"], cancelled["progress"]["cancelled"]) == ("cancelled", 2)
    assert (await server.call("DELETE", f"/api/firmware/packages/{package}"))[0] == 204
    assert (await server.get(f"/api/firmware/packages/{package}"))[0] == 404
    for body, field in [
        ({"package": "x"}, "package"), ({"package": package, "method": "mail"}, "method"), ({}, "package"),
        ({"package": package, "filter": "a", "endpoints": ["b"]}, None),
    ]:  # fmt: skip
        status, told = await server.call("POST", "/api/firmware/campaigns", json=body)
        assert (status, told.get("field")) == (400 if field else 404, field)
    assert (await server.call("POST", "/api/firmware/packages", data=b""))[0] == 400
