"""Server and simulator together, in both profiles: what each promises about the other."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from lwm2m_rig import ROOT, campaign_over, running_server, spawn_simulator
from support import eventually


@asynccontextmanager
async def simulator(mosquitto, directory, **settings):
    process = spawn_simulator(mosquitto, directory, **settings)
    try:
        yield
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 15)


async def only(server):
    _, clients = await server.get("/api/clients")
    return clients and clients[0]["endpoint"]


# The broker is the shipped one: what it forbids fails here, also below a prefix.
@pytest.mark.parametrize("prefix", ["", "tenant-a"])
@pytest.mark.parametrize("profile", ["json", "oma"])
async def test_a_simulated_device_is_managed_observed_and_updated(mosquitto, tmp_path, profile, prefix):
    settings = {"LWM2M_PROFILE": profile, "LWM2M_PREFIX": prefix, "FLEET_ID": f"both{profile}{prefix}"}
    async with (
        running_server(
            mosquitto, tmp_path / "server.db", firmware_https_port=0, lwm2m_prefix=prefix
        ) as server,
        simulator(mosquitto, tmp_path, **settings),
    ):
        name = await eventually(lambda: only(server), "it registers", 20)
        base = f"/api/clients/{name}"
        assert (await server.get(base))[1]["profile"] == profile

        async def content(path):
            status, body = await server.get(base + path)
            assert status == 200, body
            return body.get("content", body.get("objectLinks"))

        assert (await content("/3/0/0"))["value"] == "IoT Testing Corp"
        assert (await content("/3303/0"))["kind"] == "instance"
        assert {"url": "/3/0/0", "attributes": {}} in await content("/3/0/discover")
        both = await content("/composite?paths=/3/0/9,/3303/0/5700")
        assert both["/3303/0/5700"]["type"] == "FLOAT"
        assert (await server.call("PUT", f"{base}/1/0/1", data="120"))[0] == 200
        composite = {"/1/0/2": 0, "/1/0/3": 120}
        assert (await server.call("PUT", f"{base}/composite", json=composite))[0] == 200
        resources = {"resources": [{"id": 5850, "value": True}, {"id": 5750, "value": "pump"}]}
        created = await server.call("POST", f"{base}/3306", json=resources)
        assert (created[0], created[1]["location"]) == (200, "/3306/0")
        await eventually(lambda: _lists(server, base, "/3306/0"), "it lists what was created")
        assert (await content("/3306/0/5750"))["value"] == "pump"
        assert (await server.call("DELETE", f"{base}/3306/0"))[0] == 200
        assert (await server.call("POST", f"{base}/3303/0/5605"))[0] == 200
        await eventually(lambda: _sends(server, base), "it sends")
        assert (await content("/1/0/1"))["value"] == "120"
        for path, code in [("/3/0/99", "4.04"), ("/3/0/4", "4.05")]:
            assert (await server.get(base + path))[1]["code"] == code
        attributes = f"{base}/3303/0/5700/attributes?pmin=0&pmax=1"
        assert (await server.call("PUT", attributes))[0] == 200
        assert (await server.call("POST", f"{base}/3303/0/5700/observe"))[0] == 200

        await eventually(lambda: _notified(server, base), "it notifies", 10)
        assert (await server.call("DELETE", f"{base}/3303/0/5700/observe?active"))[0] == 200
        _, package = await server.call("POST", "/api/firmware/packages", data=b"new firmware")
        request = {"package": package["id"], "endpoints": [name], "timeout": 60}
        _, campaign = await server.call("POST", "/api/firmware/campaigns", json=request)
        done = await eventually(lambda: campaign_over(server, campaign), "the update ends", 60)
        assert done["devices"][name]["step"] == "succeeded", done
        assert (await content("/3/0/3"))["value"] == package["id"][:8]


async def _lists(server, base, path):
    return any(link["url"] == path for link in (await server.get(base))[1]["objectLinks"])


async def _notified(server, base):
    return (await server.get(f"{base}/observations"))[1][0]["notifications"] >= 2


async def _sends(server, base):
    return (await server.get(f"{base}/sends"))[1]


@pytest.mark.parametrize("prefix", ["", "tenant-a"])
@pytest.mark.parametrize("profile", ["json", "oma"])
async def test_a_simulated_device_is_bootstrapped(mosquitto, tmp_path, profile, prefix):
    async with running_server(mosquitto, tmp_path / "server.db", lwm2m_prefix=prefix) as server:
        name = f"device-temp-boot{profile}{prefix}-001"
        config = {"objects": {"0": {"0": {"0": "mqtts://localhost", "1": False, "2": 2, "10": 101}},
                              "1": {"0": {"0": 101, "1": 77, "6": True, "7": "U"}}},
                  "discover": ["/"], "read": ["/1"]}  # fmt: skip
        assert (await server.call("POST", f"/api/bootstrap/{name}", json=config))[0] == 200
        settings = {"LWM2M_PROFILE": profile, "LWM2M_PREFIX": prefix, "FLEET_ID": f"boot{profile}{prefix}"}
        settings["LWM2M_BOOTSTRAP"] = "request"
        async with simulator(mosquitto, tmp_path, **settings):
            await eventually(lambda: only(server), "it registers", 20)
            _, body = await server.get(f"/api/bootstrap/{name}")
            assert body["session"]["state"] == "finished", body
            discovered, read = body["session"]["answers"]
            assert {"url": "/1/0", "attributes": {"ssid": "1"}} in discovered["objectLinks"]
            assert read["content"]["instances"][0]["resources"][0]["value"] == "1"
            assert (await server.get(f"/api/clients/{name}"))[1]["lifetime"] == 77


@pytest.mark.parametrize("profile", ["json", "oma"])
async def test_a_device_keeps_its_account_when_a_bootstrap_fails(mosquitto, tmp_path, profile):
    settings = {"LWM2M_PROFILE": profile, "FLEET_ID": f"deaf{profile}", "LWM2M_LIFETIME": "500"}
    async with (
        running_server(mosquitto, tmp_path / "server.db") as server,
        simulator(mosquitto, tmp_path, **settings),
    ):
        name = await eventually(lambda: only(server), "it registers", 20)
        base = f"/api/clients/{name}"

        async def registered_anew(before):
            _, body = await server.get(base)
            return body.get("registrationId") not in (None, before["registrationId"]) and body

        async def bootstraps():
            _, before = await server.get(base)
            assert (await server.call("POST", f"{base}/1/0/9"))[0] == 200
            after = await eventually(lambda: registered_anew(before), "it registers again", 25)
            assert after["lifetime"] == 500
            assert (await server.get(f"{base}/3/0/0"))[1]["content"]["value"] == "IoT Testing Corp"

        await bootstraps()
        config = {"delete": ["/"], "objects": {"1": {"0": {"0": 101, "1": 60, "7": "Q"}}}}
        assert (await server.call("POST", f"/api/bootstrap/{name}", json=config))[0] == 200
        await bootstraps()
        session = (await server.get(f"/api/bootstrap/{name}"))[1]["session"]
        assert (session["state"], session["path"], session["code"]) == ("failed", "/1/0", "4.00")


async def test_a_device_below_an_alternate_path_is_managed_and_observed(mosquitto, tmp_path):
    settings = {"LWM2M_PROFILE": "oma", "LWM2M_ROOT": "/lwm2m", "FLEET_ID": "root"}
    async with (
        running_server(mosquitto, tmp_path / "server.db") as server,
        simulator(mosquitto, tmp_path, **settings),
    ):
        name = await eventually(lambda: only(server), "it registers", 20)
        base = f"/api/clients/{name}"
        _, registration = await server.get(base)
        assert registration["rootPath"] == "/lwm2m"
        assert registration["contentFormats"] == [60, 110, 112, 11542, 11544]
        assert {"url": "/3/0", "attributes": {}} in registration["objectLinks"]
        assert (await server.get(f"{base}/3/0/0"))[1]["content"]["value"] == "IoT Testing Corp"
        for form in ("SENML_CBOR", "SENML_JSON", "TLV", "LWM2M_CBOR"):
            _, body = await server.get(f"{base}/3/0?format={form}")
            assert body["content"]["kind"] == "instance", body
        for node, attribute in (("3", "pmin=10"), ("3/0", "pmax=60"), ("3/0/7", "gt=50&lt=42.2")):
            assert (await server.call("PUT", f"{base}/{node}/attributes?{attribute}"))[0] == 200
        (target, below) = (await server.get(f"{base}/3/0/7/discover"))[1]["objectLinks"]
        inherited = {"dim": "1", "pmin": "10", "pmax": "60", "gt": "50", "lt": "42.2"}
        assert (target, below["url"]) == ({"url": "/3/0/7", "attributes": inherited}, "/3/0/7/0")
        both = (await server.get(f"{base}/composite?paths=/3/0/9,/3303/0/5700"))[1]["content"]
        assert both["/3303/0/5700"]["kind"] == "singleResource"
        assert (await server.call("PUT", f"{base}/1/0/1", data="120"))[0] == 200
        assert (await server.call("PUT", f"{base}/composite", json={"/1/0/3": 120}))[0] == 200
        resources = {"resources": [{"id": 5850, "value": True}]}
        _, created = await server.call("POST", f"{base}/3306", json=resources)
        assert created["location"] == "/3306/0"
        await eventually(lambda: _lists(server, base, "/3306/0"), "it lists what was created")
        assert (await server.call("POST", f"{base}/3303/0/5605"))[0] == 200
        assert (await server.call("POST", f"{base}/3303/0/observe?pmin=0&pmax=1"))[0] == 200

        await eventually(lambda: _notified(server, base), "it notifies", 10)
        sends = await eventually(lambda: _sends(server, base), "it sends")
        assert "/3303/0/5700" in sends[0]["data"]["values"]


PLANT = """
devices:
  - kind: temperature
    count: 1
    objects:
      /32769/0: {0: 900, 2: {0: dough}}
      /32769/1: {}
      /12/0: {0: wlan0, 5: plant}
      /1/1: {0: 2, 1: 300, 7: M}
      /2/0: {0: 32769, 1: 0, 2: {1: 3}}
      /2/1: {0: 12, 1: 0, 2: {0: 1}}
"""


@pytest.mark.parametrize("profile", ["json", "oma"])
async def test_a_fleet_serves_objects_of_a_users_xml_as_far_as_object_2_allows(mosquitto, tmp_path, profile):
    models = str(ROOT / "tests" / "models")
    (tmp_path / "plant.yaml").write_text(PLANT)
    settings = {"LWM2M_PROFILE": profile, "FLEET_ID": f"plant{profile}", "MODELS_DIR": models}
    settings["PROFILE"] = str(tmp_path / "plant.yaml")
    async with (
        running_server(mosquitto, tmp_path / "server.db", models_dir=models) as server,
        simulator(mosquitto, tmp_path, **settings),
    ):
        base = f"/api/clients/{await eventually(lambda: only(server), 'it registers', 20)}"
        _, read = await server.get(f"{base}/32769/0")
        assert {r["id"]: r.get("value", r.get("values")) for r in read["content"]["resources"]} == {
            0: "900", 2: {"0": "dough"}, 3: "1", 4: "0.5",
        }  # fmt: skip
        assert (await server.call("PUT", f"{base}/32769/0/0", data="1200"))[0] == 200
        assert (await server.get(f"{base}/32769/0/0"))[1]["content"]["value"] == "1200"
        status, problem = await server.call("PUT", f"{base}/32769/0/0", data="99")
        assert (status, problem["allowed"]) == (400, "100 to 3000")
        _, wlan = await server.get(f"{base}/12/0/5")
        assert wlan["content"]["value"] == "plant"
        for method, path, data in (
            ("PUT", "/12/0/5", "other"), ("POST", "/32769/0/1", None), ("GET", "/32769/1", None),
            ("GET", "/3/0/0", None), ("PUT", "/2/0/3", "1"), ("DELETE", "/32769/0", None),
        ):  # fmt: skip
            status, problem = await server.call(method, base + path, data=data)
            assert (status, problem["code"]) == (403, "4.01"), path
        _, specs = await server.get(base.replace("clients", "objectspecs"))
        assert {"Mixer", "WLAN connectivity", "LwM2M Access Control"} <= {spec["name"] for spec in specs}
