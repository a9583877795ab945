"""The console's page in a real browser, on parts that are away and on a fleet of thousands."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from selenium.webdriver.common.keys import Keys

from browser import PHONE, WIDE, Page, chromium
from conftest import ROOT, running
from iiot.lwm2m import model
from lwm2m_server.descriptions import describe_object
from support import accepts_connections, free_port, wait_until
from testbed.engines.native.process import Command

VIEWS = ("flow", "devices", "devices/device-temp-001", "events", "topics", "alerts", "experiments")
FLEET = 5000
GONE = "http://127.0.0.1:9"


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@contextmanager
def console(directory, **settings):
    """A console process; parts that are not named are away."""
    port = free_port()
    parts = ("LWM2M_SERVER", "SPARKPLUG_HOST", "BRIDGE", "SIMULATOR", "CONNECT", "PROMETHEUS", "EXPERIMENTS")
    environment = {f"{part}_URL": GONE for part in parts} | {
        "HTTP_PORT": str(port),
        "MQTT_TLS": "false",
        "MQTT_PORT": "9",
        "KAFKA_BROKERS": "127.0.0.1:9",
        "PYTHONPATH": f"{ROOT}/common/src:{ROOT}/console/src",
        **settings,
    }
    command = Command((sys.executable, "-m", "console"), directory, environment)
    with running(f"console {port}", command, directory / "log.txt"):
        wait_until(lambda: accepts_connections(port), "the console listens", 20)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def lonely(driver, tmp_path_factory):
    """The page of a console that reaches nothing."""
    with console(tmp_path_factory.mktemp("lonely")) as url:
        yield Page(driver, url)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_says_what_is_away_instead_of_staying_blank(lonely, view):
    lonely.open(view, "does not answer" if view != "flow" else "unreachable")
    assert lonely.all("h1")
    assert not lonely.errors()
    if view.startswith("devices/"):
        lonely.wait_for("No messages:")


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_fits_a_phone_and_axe_finds_nothing_while_parts_are_away(lonely, view):
    lonely.resize(PHONE, "dark")
    try:
        lonely.open(view, "does not answer" if view != "flow" else "unreachable")
        assert lonely.run("return document.documentElement.scrollWidth") <= PHONE[0]
        assert lonely.violations() == []
    finally:
        lonely.resize(WIDE)


def test_detail_of_a_part_says_why_it_is_away(lonely):
    lonely.open("flow", "unreachable")
    lonely.button("LwM2M server: unreachable").click()
    lonely.wait_for("does not answer")


def test_a_closed_console_asks_for_the_token_once_and_keeps_it_in_the_tab(driver, tmp_path):
    file = tmp_path / "token"
    file.write_text("0123456789abcdef")
    with console(tmp_path, API_TOKEN_FILE=str(file), API_READS_OPEN="false") as url:
        page = Page(driver, url)
        page.open("flow", "Writes need it")
        page.wait_for("needs the header")
        page.one("#token-text").send_keys("0123456789abcdef\n")
        page.wait_for("unreachable")
        page.driver.refresh()
        page.wait_for("unreachable")
        assert not page.one("dialog").is_displayed()


@contextmanager
def _serving(handler):
    """A server in a thread; yields its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Fleet(BaseHTTPRequestHandler):
    """An LwM2M server with many devices."""

    clients = json.dumps(
        [
            {
                "endpoint": f"device-temp-{n:04}",
                "online": n % 7 > 0,
                "lifetime": 60,
                "lastUpdate": "2026-01-01",
            }
            for n in range(FLEET)
        ]
    ).encode()

    def do_GET(self):
        known = self.path.startswith("/api/clients") and self.path.count("/") == 2
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(self.clients if known else b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def crowded(driver, tmp_path_factory):
    """The page of a console whose LwM2M server has thousands of devices."""
    with _serving(_Fleet) as url, console(tmp_path_factory.mktemp("crowded"), LWM2M_SERVER_URL=url) as where:
        yield Page(driver, where)


def test_thousands_of_devices_are_a_few_elements(crowded):
    crowded.open("devices", "5000 devices")
    assert 10 < len(crowded.all(".line")) < 60
    assert crowded.one("[role=grid]").get_attribute("aria-rowcount") == str(FLEET + 1)


def test_the_list_is_usable_by_keyboard_to_its_end(crowded):
    crowded.open("devices", "5000 devices")
    crowded.run("document.querySelector('[role=grid]').focus()")
    crowded.press(Keys.END)
    wait_until(lambda: "device-temp-4999" in crowded.text(), "the last device", 5)
    crowded.press(Keys.ARROW_UP, Keys.PAGE_UP, Keys.HOME, Keys.ARROW_DOWN)
    wait_until(lambda: "device-temp-0001" in crowded.text(), "the first devices", 5)
    # What makes a long list slow is elements: however far it is scrolled, there are no more of them.
    crowded.run(
        "const b = document.querySelector('.body');"
        "for (let i = 0; i < 500; i++) { b.scrollTop = i * 380; b.dispatchEvent(new Event('scroll')); }"
    )
    assert len(crowded.all(".line")) < 60
    crowded.press(Keys.HOME, Keys.ENTER)
    wait_until(lambda: crowded.driver.current_url.endswith("#/devices/device-temp-0000"), "the device opens")


def test_search_and_filter_narrow_the_list(crowded):
    crowded.open("devices", "5000 devices")
    crowded.one("input[type=search]").send_keys("0014")
    crowded.wait_for("1 of 5000 devices")
    assert [line.text.split("\n")[0] for line in crowded.all(".line") if line.is_displayed()] == [
        "device-temp-0014"
    ]
    crowded.open("devices", "5000 devices")
    crowded.choose("select", "offline")
    crowded.wait_for("715 of 5000 devices")


def test_devices_of_ended_experiments_are_shown_on_request(driver, tmp_path):
    node = {"edge_node": "experiment-0001", "online": False, "gaps": 0, "births": 2}

    class Host(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            nodes = [node, node | {"edge_node": "mine", "online": True}]
            self.wfile.write(json.dumps({"nodes": nodes}).encode())

        def log_message(self, *_):
            pass

    with _serving(Host) as host, console(tmp_path, SPARKPLUG_HOST_URL=host) as url:
        page = Page(driver, url)
        page.open("devices", "1 of ended experiments")
        page.wait_for("1 device")
        page.one("label.check input").click()
        page.wait_for("experiment-0001")


def test_objects_of_a_users_models_have_their_names(driver, tmp_path):
    definitions = model.load(ROOT / "tests" / "models")
    answers = {
        "/api/clients/mixer": {
            "endpoint": "mixer",
            "online": True,
            "availableInstances": {"3303": [0], "32769": [0]},
        },
        "/api/objectspecs": [*map(describe_object, definitions.versions)],
    }

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            known = answers.get(self.path)
            self.send_response(404 if known is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(known or {}).encode())

        def log_message(self, *_):
            pass

    with _serving(Server) as server, console(tmp_path, LWM2M_SERVER_URL=server) as url:
        page = Page(driver, url)
        page.open("devices/mixer", "Mixer")
        assert "Temperature" in page.text()


def test_an_unknown_view_has_a_title_of_its_own(lonely):
    lonely.open("alerts", "does not answer")
    lonely.run("location.hash = '#/nosuch'")
    lonely.wait_for("There is no view “nosuch”")
    assert lonely.driver.title.startswith("No such view")


def test_an_event_that_the_filter_leaves_out_is_not_shown_any_more(driver, tmp_path):
    event = {"id": 1, "type": "send", "endpoint": "dev-1", "timestamp": "2026-01-01T00:00:00Z", "data": {}}

    class Feed(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path.startswith("/api/events?") else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"events": [event], "next": 1, "latest": 1}).encode())

        def log_message(self, *_):
            pass

    with _serving(Feed) as feed, console(tmp_path, LWM2M_SERVER_URL=feed) as url:
        page = Page(driver, url)
        page.open("events", "1 of 1 events")
        page.one(".line").click()
        page.wait_for("send of dev-1")
        page.one("input[type=search]").send_keys("dev")
        assert "send of dev-1" in page.text()
        page.one("input[type=search]").send_keys("-nosuch")
        page.wait_for("0 of 1 events")
        assert "send of dev-1" not in page.text()


def test_it_ends_on_sigterm(tmp_path):
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}/common/src:{ROOT}/console/src",
        "HTTP_PORT": str(port),
    }
    command = (sys.executable, "-m", "console")
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: accepts_connections(port), "the console listens", 20)
        process.terminate()
        assert process.wait(10) == 0
