import asyncio
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

PAGE = ("/", "/app.js", "/app.css", "/icon.svg", "/flow.js")


@pytest.mark.parametrize("path", PAGE)
async def test_the_page_is_served_with_a_strict_policy(console, path):
    async with console() as client:
        response = await client.get(path)
        assert response.status == 200
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/none.js", "/..%2fapi.py.js", "/api.py", "/static/app.js"])
async def test_nothing_else_is_served(console, path):
    async with console() as client:
        assert (await client.get(path)).status == 404


async def test_requests_are_passed_on_as_they_are(console, part):
    fake, url = await part()
    fake.answers["/api/clients/a/b/3/0/0"] = {"status": "CONTENT(205)"}
    async with console(lwm2m_server_url=url) as client:
        headers = {"Authorization": "Bearer abc"}
        answer = await client.get("/api/lwm2m/clients/a%2Fb/3/0/0?timeout=3", headers=headers)
        assert (answer.status, await answer.json()) == (200, {"status": "CONTENT(205)"})
    [(method, path, sent, _)] = fake.asked
    assert (method, path) == ("GET", "/api/clients/a%2Fb/3/0/0?timeout=3")
    assert sent["Authorization"] == "Bearer abc"


async def test_large_answers_are_passed_on_whole(console, part):
    fake, url = await part()
    fake.answers["/api/clients"] = [{"endpoint": f"device-{n}"} for n in range(50_000)]
    async with console(lwm2m_server_url=url) as client:
        assert len(await (await client.get("/api/lwm2m/clients")).json()) == 50_000


async def test_writes_and_refusals_are_passed_on(console, part):
    fake, url = await part()
    async with console(lwm2m_server_url=url, sparkplug_host_url=url) as client:
        answer = await client.put("/api/lwm2m/clients/a/1/0/1", json={"id": 1, "value": "60"})
        assert answer.status == 404
        fake.answers["/api/nodes/a/rebirth"] = {"rebirth": "requested"}
        assert (await client.post("/api/sparkplug/nodes/a/rebirth")).status == 200
    assert json.loads(fake.asked[0][3]) == {"id": 1, "value": "60"}


async def test_a_page_of_another_site_may_not_write(console, part):
    fake, url = await part()
    async with console(lwm2m_server_url=url) as client:
        origin = {"Origin": "http://evil.example"}
        assert (await client.put("/api/lwm2m/clients/a/1/0/1", json=1, headers=origin)).status == 403
        assert (await client.post("/api/alerts/webhook", json={"alerts": []}, headers=origin)).status == 403
    assert not fake.asked


async def test_writes_need_the_token_and_reads_only_when_closed(console, part, tmp_path):
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    fake, url = await part()
    fake.answers["/api/clients/a/1/0/1"] = {}
    right = {"Authorization": "Bearer 0123456789abcdef"}
    path = "/api/lwm2m/clients/a/1/0/1"
    async with console(lwm2m_server_url=url, api_token_file=file) as client:
        assert (await client.put(path, json=1)).status == 401
        assert (await client.put(path, json=1, headers=right)).status == 200
        assert (await client.get(path)).status == 200
    async with console(lwm2m_server_url=url, api_token_file=file, api_reads_open=False) as client:
        assert (await client.get(path)).status == 401
        assert (await client.get("/api/objects")).status == 401
        assert (await client.get("/api/objects", headers=right)).status == 200
        assert (await client.get("/")).status == 200
        assert (await client.get("/api/health")).status == 200


async def test_parts_that_are_away_are_told(console):
    async with console() as client:
        overview = await (await client.get("/api/overview")).json()
        statuses = {name: found["status"] for name, found in overview["parts"].items()}
        assert statuses.pop("mosquitto") == "unknown"
        assert set(statuses.values()) == {"unreachable"}
        detail = overview["parts"]["lwm2m-server"]["detail"]
        assert "does not answer" in detail
        assert detail.endswith("Connection refused")
        for path in ("/api/lwm2m/clients", "/api/topics", "/api/prometheus/query?query=up"):
            answer = await client.get(path)
            assert answer.status == 502
            assert (await answer.json())["part"] in ("lwm2m-server", "kafka", "prometheus")
        alerts = await (await client.get("/api/alerts")).json()
        assert "prometheus" in alerts["unavailable"]


async def test_health_and_rates_of_a_part(console, part):
    fake, url = await part()
    fake.answers["/api/health"] = {"status": "healthy", "nodes_online": 2}
    fake.answers["/metrics"] = "sparkplug_devices_online 2.0\n"
    async with console(sparkplug_host_url=url) as client:
        found = (await (await client.get("/api/overview")).json())["parts"]["sparkplug-host"]
    assert (found["status"], found["instances"]) == ("healthy", 1)
    assert (found["figures"]["devices_online"], found["figures"]["messages"]) == (2, None)


async def test_what_a_part_says_is_wrong_with_it(console, part):
    fake, url = await part()
    fake.answers["/api/health"] = {"status": "unhealthy", "mqtt_connected": True, "kafka_connected": False}
    async with console(bridge_url=url) as client:
        found = (await (await client.get("/api/overview")).json())["parts"]["mqtt-redpanda-bridge"]
    assert (found["status"], found["detail"]) == (
        "unhealthy",
        "it says that it is not healthy: kafka_connected is false",
    )


async def test_prometheus_answers_queries_and_nothing_else(console, part):
    fake, url = await part()
    fake.answers["/api/v1/query"] = {"status": "success"}
    async with console(prometheus_url=url) as client:
        assert (await client.get("/api/prometheus/query?query=a%2Bb")).status == 200
        assert (await client.get("/api/prometheus/admin")).status == 404
    assert [path for _, path, _, _ in fake.asked] == ["/api/v1/query?query=a%2Bb"]


ALERT = {
    "status": "firing",
    "labels": {"alertname": "PartDown"},
    "startsAt": "2026-01-01T00:00:00Z",
    "fingerprint": "f",
}


TOKEN = "alerts-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def alerts_token(tmp_path):
    (tmp_path / "alerts").write_text(TOKEN)
    return tmp_path / "alerts"


async def notify(client, document):
    return await client.post("/api/alerts/webhook", json=document, headers=BEARER)


async def count(client, name, **labels):
    text = await (await client.get("/metrics")).text()
    found = {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return found[name, tuple(labels.items())]


async def test_alerts_of_both_sources_are_listed_and_the_webhook_is_bounded(console, part, alerts_token):
    fake, url = await part()
    fake.answers["/api/v1/alerts"] = {"data": {"alerts": [{"state": "pending", "labels": {}}]}}
    async with console(prometheus_url=url, alerts_keep=2, alerts_token_file=alerts_token) as client:
        for number in range(4):
            alert = {**ALERT, "fingerprint": str(number)}
            answer = await notify(client, {"receiver": "console", "alerts": [alert]})
            assert answer.status == 200
        resolved = {**ALERT, "fingerprint": "3", "status": "resolved"}
        answer = await notify(client, {"alerts": [resolved]})
        assert await answer.json() == {"firing": 1}
        found = await (await client.get("/api/alerts")).json()
    assert [(a["fingerprint"], a["status"]) for a in found["webhook"]] == [("3", "resolved"), ("2", "firing")]
    assert found["prometheus"] == [{"state": "pending", "labels": {}}]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"alerts": [{"status": "odd", "labels": {}}]}', b"\xff", b'{"alerts": {}}']
)
async def test_a_bad_webhook_is_refused(console, alerts_token, body):
    async with console(alerts_token_file=alerts_token) as client:
        answer = await client.post("/api/alerts/webhook", data=body, headers=BEARER)
        assert answer.status == 400
        assert (await answer.json())["field"]
        assert await count(client, "console_webhook_refused_total", reason="body") == 1


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer \xe9", "Basic eDp5"])
async def test_a_forged_alert_is_refused_and_displaces_none(console, alerts_token, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    async with console(alerts_token_file=alerts_token, alerts_keep=1) as client:
        assert (await notify(client, {"alerts": [ALERT]})).status == 200
        forged = {"alerts": [{**ALERT, "fingerprint": str(n)} for n in range(50)]}
        assert (await client.post("/api/alerts/webhook", json=forged, headers=headers)).status == 401
        kept = (await (await client.get("/api/alerts")).json())["webhook"]
        assert await count(client, "console_webhook_refused_total", reason="token") == 1
    assert [alert["fingerprint"] for alert in kept] == ["f"]


async def test_without_a_token_of_its_own_the_webhook_is_closed(console, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    for settings in (
        {},
        {"api_token_file": tmp_path / "token"},
        {"alerts_token_file": "", "api_token_file": ""},
    ):
        async with console(**settings) as client:
            answer = await notify(client, {"alerts": [ALERT]})
            assert answer.status == 403
            assert "ALERTS_TOKEN_FILE" in (await answer.json())["detail"]


async def test_an_alert_that_is_too_large_costs_no_other(console, alerts_token):
    wrong = {
        "labels": {**ALERT, "labels": {f"l{n}": "x" * 10 for n in range(1000)}},
        "text": {**ALERT, "annotations": {"summary": "x" * 9000}},
        "kind": {**ALERT, "labels": {"a": 1}},
        "id": {**ALERT, "fingerprint": "x" * 3000},
        "no alert": "alert",
    }
    async with console(alerts_token_file=alerts_token) as client:
        answer = await notify(client, {"alerts": [*wrong.values(), ALERT]})
        assert answer.status == 200
        body = await answer.json()
        assert body["firing"] == 1
        assert [text.split(":")[0] for text in body["refused"]] == [
            *("alerts.0", "alerts.1", "alerts.2.labels.a", "alerts.3.fingerprint", "alerts.4")
        ]
        assert await count(client, "console_webhook_alerts_total", outcome="refused") == 5
        assert await count(client, "console_webhook_alerts_total", outcome="accepted") == 1
        assert (await notify(client, {"alerts": [*wrong.values()]})).status == 400
        assert (await notify(client, {"alerts": [ALERT] * 101})).status == 400
        assert (await notify(client, {"alerts": [], "x": "y" * 300_000})).status == 413


async def test_what_is_kept_has_a_size_and_firing_ones_stay_longest(console, alerts_token):
    large = {**ALERT, "annotations": {"summary": "x" * 8000}}
    async with console(alerts_token_file=alerts_token) as client:
        assert (await notify(client, {"alerts": [{**large, "fingerprint": "first"}]})).status == 200
        for page in range(20):
            over = [{**large, "fingerprint": f"{page} {n}", "status": "resolved"} for n in range(25)]
            assert (await notify(client, {"alerts": over})).status == 200
        text = await (await client.get("/api/alerts")).read()
    assert 1 << 20 < len(text) < 3 << 20
    assert b'"first"' in text


async def read_until(response, text):
    seen = b""
    async with asyncio.timeout(5):
        while text not in seen:
            seen += await response.content.readany()
    return seen


async def test_events_stream_what_the_feed_says(console, part):
    fake, url = await part()
    event = {"id": 5, "type": "send", "endpoint": "dev", "data": {}}
    fake.answers["/api/events"] = {"events": [event], "next": 5, "latest": 5}
    async with console(lwm2m_server_url=url) as client, client.get("/api/events?endpoint=dev") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert b'"endpoint":"dev"' in await read_until(response, b'"endpoint"')


async def test_messages_say_that_the_broker_is_away_and_lookers_are_bounded(console):
    async with console(max_lookers=1) as client:
        tapping = asyncio.create_task(client.tap.run())
        async with client.get("/api/devices/dev/messages") as response:
            assert b"9" in await read_until(response, b'"connected":false')
            assert (await client.get("/api/events")).status == 503
        tapping.cancel()
        await asyncio.gather(tapping, return_exceptions=True)


async def test_an_illegal_device_id_is_refused(console):
    async with console() as client:
        assert (await client.get("/api/devices/%23/messages")).status == 400


async def test_unknown_records_and_limits_are_refused(console):
    async with console() as client:
        assert (await client.get("/api/topics/x/records?limit=0")).status == 400
        assert (await client.get("/api/topics/x/records")).status == 502


async def test_events_of_the_sparkplug_host_join_those_of_the_feed(console, part):
    lwm2m, lwm2m_url = await part()
    lwm2m.answers["/api/events"] = {"events": [], "next": 5, "latest": 5}
    host, host_url = await part()
    event = json.dumps({"id": 7, "type": "node_born", "endpoint": "dev", "data": {}})
    host.answers["/api/events/stream"] = f"retry: 2000\n\nid: 7\nevent: node_born\ndata: {event}\n\n"
    urls = {"lwm2m_server_url": lwm2m_url, "sparkplug_host_url": host_url}
    async with console(**urls) as client, client.get("/api/events") as response:
        seen = await read_until(response, b"ended its stream")
    assert b'"part":"sparkplug-host","events":[{"id":7' in seen
    assert "type=node_born" in host.asked[0][1]
    assert "type=values" not in host.asked[0][1]


async def test_events_of_other_devices_are_left_out(console, part):
    fake, url = await part()
    events = [
        {"id": n, "type": "send", "endpoint": name, "data": {}} for n, name in enumerate(("dev", "other"))
    ]
    fake.answers["/api/events"] = {"events": events, "next": 5, "latest": 5}
    async with console(lwm2m_server_url=url) as client, client.get("/api/events?endpoint=dev") as response:
        assert b"other" not in await read_until(response, b'"endpoint"')
