from console.devices import join
from console.topics import show_record


def test_both_sides_of_a_device_are_joined_and_a_missing_side_is_null():
    clients = [{"endpoint": "b", "online": True, "lifetime": 60}, {"endpoint": "c", "online": False}]
    nodes = [{"edge_node": "a", "online": True}, {"edge_node": "b", "online": False, "gaps": 2}]
    a, b, c = join(clients, nodes)
    assert [device["id"] for device in (a, b, c)] == ["a", "b", "c"]
    assert a["lwm2m"] is None
    assert (b["lwm2m"]["lifetime"], b["sparkplug"]["gaps"]) == (60, 2)
    assert c["sparkplug"] is None


async def test_the_list_says_which_side_is_away(console, part):
    fake, url = await part()
    fake.answers["/api/clients"] = [{"endpoint": "dev", "online": True}]
    async with console(lwm2m_server_url=url) as client:
        found = await (await client.get("/api/devices")).json()
    assert [device["id"] for device in found["devices"]] == ["dev"]
    assert list(found["unavailable"]) == ["sparkplug-host"]


async def test_nodes_are_read_page_by_page(console, part):
    fake, url = await part()
    fake.answers["/api/nodes"] = {"nodes": [{"edge_node": "a"}], "total": 1}
    async with console(sparkplug_host_url=url) as client:
        await client.get("/api/devices")
        again = await (await client.get("/api/devices")).json()
    assert [path for _, path, _, _ in fake.asked] == ["/api/nodes?offset=0&limit=1000"]
    assert len(again["devices"]) == 1


def test_records_are_shown_as_what_they_are():
    from datetime import UTC, datetime

    from iiot.kafka_reader import Record

    def shown(value):
        return show_record(Record("t", 0, 1, datetime.fromtimestamp(5, UTC), b"k", value, ()))["value"]

    assert shown(b'{"a": 1}') == {"a": 1}
    assert shown(b"text") == "text"
    assert shown(b"\xff\x00") == "/wA="
    assert len(shown(b"x" * 100_000)) < 70_000
