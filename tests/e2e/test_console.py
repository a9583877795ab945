"""Every view of the console in a real browser, on a running testbed."""

import json
import os
import urllib.error
import urllib.request

import pytest

from browser import PHONE, WIDE, Page, chromium
from support import wait_until

DEVICE = "device-temp-001"
# view, a text that only real data brings
VIEWS = [
    ("flow", "2 of 2 connected"),
    ("devices", DEVICE),
    (f"devices/{DEVICE}", "DDATA"),
    ("events", "device-humidity-001"),
    ("topics", "iot.telemetry.sparkplug.data"),
    ("alerts", "Received from Alertmanager"),
    ("experiments", "More devices, more messages"),
]
ALERT = {
    "receiver": "console",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "SlowDelivery", "severity": "warning"},
            "annotations": {"summary": "an alert of the test"},
            "startsAt": "2026-01-01T00:00:00Z",
            "fingerprint": "e2e",
        }
    ],
}


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def page(driver, testbed):
    return Page(driver, testbed.url(8088, ""))


def device(page):
    page.open(f"devices/{DEVICE}", "asset: Sensors/Temperature")
    return page


def cell_texts(page, column):
    cells = f".line:not([hidden]) > :nth-child({column})"
    return page.run("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", cells)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("view", "expected"), VIEWS, ids=lambda value: value)
def test_a_view_shows_real_data_and_axe_finds_nothing_serious(page, view, expected, scheme):
    page.resize(WIDE, scheme)
    page.open(view, expected)
    keep(page, f"{view}-{scheme}")
    assert page.violations() == []
    assert page.errors() == []


@pytest.mark.parametrize(("view", "expected"), VIEWS, ids=lambda value: value)
def test_a_view_fits_a_phone(page, view, expected):
    page.resize(PHONE)
    page.open(view, expected)
    keep(page, f"{view}-phone")
    assert page.run("return document.documentElement.scrollWidth") <= PHONE[0]


def keep(page, name):
    """A screenshot for people, when CONSOLE_SCREENSHOTS names a directory."""
    if directory := os.environ.get("CONSOLE_SCREENSHOTS"):
        page.driver.get_screenshot_as_file(f"{directory}/{name.replace('/', '-')}.png")


def test_flow_shows_rates_and_health_and_opens_a_part_by_keyboard(page):
    page.open("flow", "all healthy")
    wait_until(lambda: len([r for r in page.all(".rate") if r.text.endswith("/s")]) == 8, "eight rates", 30)
    page.run("[...document.querySelectorAll('.box')].find(b => b.textContent.startsWith('Bridge')).focus()")
    page.press("\ue007")
    page.wait_for("kafka connected")
    wait_until(lambda: page.one(".plots path").get_attribute("d"), "history from Prometheus", 60)


def test_devices_lead_to_a_device(page):
    # Other tests' devices may stand in the list as well.
    page.open("devices", "device-humidity-001")
    page.one("input[type=search]").send_keys("device-temp-001")
    page.wait_for("1 of ")
    page.one(".line").click()
    page.wait_for("LwM2M online")
    page.wait_for("Sparkplug online")


def test_messages_of_both_protocols_are_interleaved_and_decoded(page):
    device(page)
    wait_until(lambda: {"LwM2M", "Sparkplug"} <= set(cell_texts(page, 3)), "both protocols", 20, 0.2)
    page.button("Pause").click()
    assert any("Sensors/Temperature = " in text for text in cell_texts(page, 5))
    assert any("/3303/0/5700 = " in text for text in cell_texts(page, 5))
    page.one(".line").click()
    assert '"seq"' in page.one("pre").text
    boxes = page.all("label.check input")
    boxes[0].click()
    assert set(cell_texts(page, 3)) == {"Sparkplug"}


def test_a_resource_is_read_written_and_executed(page):
    device(page)
    open_instance(page, "/1", "/1/0")
    page.button("Write Lifetime").click()
    field = page.one("form input")
    field.clear()
    field.send_keys("77\n")
    wait_until(lambda: "77" in row(page, "/1/0/1"), "the written value is read back", 15)
    page.wait_for("lifetime 77 s", 20)
    open_instance(page, "/3303", "/3303/0")
    page.button("Read Sensor Value").click()
    wait_until(lambda: "CONTENT" in row(page, "/3303/0/5700"), "the value is read", 15)
    page.button("Execute Reset Min and Max").click()
    wait_until(lambda: "CHANGED" in row(page, "/3303/0/5605"), "the device did it", 15)


def test_a_write_out_of_range_says_what_is_allowed(page):
    device(page)
    open_instance(page, "/1", "/1/0")
    page.button("Write Lifetime").click()
    field = page.one("form input")
    field.clear()
    field.send_keys("many\n")
    wait_until(lambda: "integer" in row(page, "/1/0/1"), "why it is refused", 15)


def test_a_resource_is_observed_and_its_attributes_are_written(page):
    device(page)
    open_instance(page, "/3303", "/3303/0")
    page.button("Attributes Sensor Value").click()
    page.one("form input").send_keys("pmin=1 pmax=2\n")
    wait_until(lambda: "pmin=1" in row(page, "/3303/0/5700"), "the attributes", 15)
    page.button("Observe Sensor Value").click()
    wait_until(lambda: "notify" in " ".join(cell_texts(page, 4)), "a notification in the timeline", 30, 0.2)
    page.button("Discover /3303/0").click()
    page.wait_for("links; attributes stand beside the names")
    page.button("Stop observing Sensor Value").click()
    page.button("Observe Sensor Value")


def test_a_rebirth_shows_in_the_timeline(page):
    device(page)
    page.wait_for("Group repeats")
    page.button("Ask for rebirth").click()
    wait_until(
        lambda: {"NCMD", "NBIRTH", "DBIRTH"} <= set(cell_texts(page, 4)), "command and births", 20, 0.1
    )


def test_a_metric_is_written(page):
    device(page)
    page.button("Write LwM2M/Lifetime").click()
    field = page.one(".metric form input")
    field.clear()
    field.send_keys("88\n")
    page.wait_for("sent; the next data message tells")
    page.wait_for("lifetime 88 s", 20)


def test_events_are_filtered_and_paused(page):
    page.open("events", "device-humidity-001")
    page.one("input[type=search]").send_keys("device-humidity-001")
    wait_until(lambda: set(cell_texts(page, 4)) == {"device-humidity-001"}, "only one device", 10)
    page.button("Pause").click()
    first = cell_texts(page, 1)[0]
    page.wait_for("Go on (")
    assert cell_texts(page, 1)[0] == first
    page.button("Go on").click()
    wait_until(lambda: cell_texts(page, 1)[0] != first, "it goes on", 10)


def post(url, body=b"", headers=None):
    request = urllib.request.Request(url, body, headers or {})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        assert answer.status in (200, 202)


def test_events_of_both_protocols_are_in_order_of_time(page, testbed):
    page.open("events", "send")
    page.one("input[type=search]").send_keys(DEVICE)
    post(testbed.url(8088, f"/api/sparkplug/nodes/{DEVICE}/rebirth"))
    page.choose("select", "node_born")
    wait_until(lambda: set(cell_texts(page, 2)) == {"Sparkplug"}, "births of the edge node", 15)
    page.choose("select", "")
    page.button("Pause").click()
    times = cell_texts(page, 1)
    assert times == sorted(times, reverse=True)


def test_topics_have_counts_rates_and_newest_records(page):
    page.open("topics", "iot.telemetry.lwm2m.updates")
    page.button("iot.telemetry.lwm2m.updates").click()
    page.wait_for('"operation":"send"')
    page.one("summary").click()
    page.wait_for('"ce_type"')
    wait_until(lambda: "/s" in page.all("td.num")[1].text, "a rate", 10)


def test_an_alert_by_webhook_is_shown_and_counted(page, testbed):
    url = testbed.url(8088, "/api/alerts/webhook")
    file = testbed.directory / "certs" / "alerts" / "token"
    assert file.stat().st_mode & 0o777 == 0o600
    bearer = {"Authorization": f"Bearer {file.read_text()}"}
    for status in ("firing", "resolved"):
        body = json.dumps({**ALERT, "alerts": [{**ALERT["alerts"][0], "status": status}]}).encode()
        post(url, body, bearer)
        page.open("alerts", "an alert of the test")
        page.wait_for(status)
        if status == "firing":
            wait_until(lambda: page.all("nav .count"), "the count beside the view's name", 15)


def start(page, name, **parameters):
    """Open an experiment, fill in its form, and start it."""
    page.open("experiments", "More devices, more messages")
    script = """
        const found = [...document.querySelectorAll(".experiment")];
        found.find((one) => one.textContent.includes(arguments[0])).open = true;
    """
    page.run(script, name)
    for parameter, value in parameters.items():
        field = next(f for f in page.all(f"[name={parameter}]") if f.is_displayed())
        if field.tag_name == "select":
            field.send_keys(value)
        else:
            field.clear()
            field.send_keys(str(value))
    next(b for b in page.all("button.primary") if b.is_displayed() and b.text == "Start").click()


def drawn(page):
    """Charts with a line, counted in one step: they are drawn anew every second."""
    script = """
        return [...document.querySelectorAll(".chart .line")]
            .filter((path) => path.getAttribute("d")?.includes("L")).length;
    """
    return page.run(script)


def test_a_fault_on_a_part_is_started_watched_and_judged(page):
    start(page, "part-pause", part="sparkplug-host", seconds=3)
    page.wait_for("End it early")
    wait_until(lambda: drawn(page) >= 3, "the course is drawn while it runs", 40)
    assert page.violations() == []
    page.wait_for("sparkplug-host: frozen for 3 s", 60)
    page.wait_for("nothing is lost", 120)
    for scheme, size in (("light", WIDE), ("dark", WIDE), ("light", PHONE)):
        page.resize(size, scheme)
        keep(page, f"experiment-{scheme}-{size[0]}")
        assert page.run("return document.documentElement.scrollWidth") <= size[0]
        assert page.violations() == []
    page.resize(WIDE)
    assert [tag.text for tag in page.all(".card .tag.bad")] == [], page.text()
    page.wait_for("passed")
    assert page.errors() == []
    page.open("experiments", "A part hangs")
    assert "passed" in page.one("tbody").text


def test_a_run_is_ended_early_and_says_so(page):
    start(page, "registration-storm")
    page.wait_for("End it early")
    # In one step: the heading may be drawn anew between finding a button and pressing it.
    page.run("[...document.querySelectorAll('button')].find(b => b.textContent === 'End it early').click()")
    page.wait_for("It was aborted", 40)
    page.wait_for("aborted")


def test_a_bad_parameter_is_refused_by_the_form_and_by_the_api(page, testbed):
    page.open("experiments", "More devices, more messages")
    page.run("document.querySelector('.experiment').open = true")
    field = page.one("[name=rate]")
    assert (field.get_attribute("min"), field.get_attribute("max")) == ("1", "20000")
    body = json.dumps({"name": "load", "parameters": {"rate": 0}}).encode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(testbed.url(8088, "/api/experiments/runs"), body)
    with refused.value as answer:
        assert json.load(answer)["allowed"] == "a whole number from 1 to 20000"


def test_the_theme_is_kept(page):
    page.open("alerts", "Received")
    before = page.run("return getComputedStyle(document.body).backgroundColor")
    page.button("Theme").click()
    page.button("Theme").click()
    page.open("alerts", "Received")
    after = page.run("return getComputedStyle(document.body).backgroundColor")
    page.button("Theme").click()
    assert before != after


def open_instance(page, object_path, instance_path):
    script = """
        const found = [...document.querySelectorAll("summary")]
            .find(s => s.querySelector(".mono")?.textContent === arguments[0]);
        if (found) found.parentElement.open = true;
        return Boolean(found)
    """
    for path in (object_path, instance_path):
        wait_until(lambda path=path: page.run(script, path), path, 15)
    wait_until(lambda: row(page, instance_path + "/"), "resources", 15)


def row(page, path):
    """All text of the first resource whose path begins so."""
    script = """
        return [...document.querySelectorAll(".resource")]
            .find(r => r.querySelector(".mono").textContent.startsWith(arguments[0]))?.textContent ?? ""
    """
    return page.run(script, path)
