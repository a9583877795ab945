"""A real headless Chromium for the console's tests, and what the tests ask of a page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_core_python.base import AXE_SCRIPT
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from support import wait_until

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-dev-shm-usage",
)
WIDE, PHONE = (1280, 900), (390, 844)


class Page:
    """One browser window with the console in it."""

    def __init__(self, driver: webdriver.Chrome, url: str):
        self.driver = driver
        self.url = url
        self.resize(WIDE)

    def resize(self, size: tuple[int, int], scheme: str = "light"):
        """Give the window another size, and the person another taste."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, view: str, expected: str = ""):
        """Open a view afresh and wait until it shows a text."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.url}/#/{view}")
        if expected:
            self.wait_for(expected)

    def text(self) -> str:
        """What a person reads."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    def wait_for(self, expected: str, seconds: float = 20):
        """Wait until the page shows a text."""

        def shows():
            text = self.text()
            assert expected in text, text[:1500]
            return True

        wait_until(shows, f"the page shows {expected!r}", seconds, 0.2)

    def all(self, selector: str):
        """Elements by CSS."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str):
        """The first element by CSS, as soon as there is one."""
        return wait_until(lambda: self.all(selector), selector, 10)[0]

    def button(self, label: str):
        """A button by its accessible name."""

        def named():
            candidates = self.all("button, [role=button]")
            return next((b for b in candidates if b.accessible_name.startswith(label)), None)

        return wait_until(named, f"button {label!r}", 10)

    def press(self, *keys: str):
        """Type into whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def run(self, script: str, *arguments):
        """The value of a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def choose(self, selector: str, value: str):
        """Take an option of a select element."""
        Select(self.one(selector)).select_by_value(value)

    def violations(self) -> list[str]:
        """What axe-core finds that is serious or critical."""
        self.run(AXE_SCRIPT)
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1]; axe.run().then(r => done(r.violations));"
        )
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        return [f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]}" for v in serious]

    def errors(self) -> list[str]:
        """What the browser complained about: scripts that failed, policies that were broken."""
        entries = self.driver.get_log("browser")
        return [
            e["message"] for e in entries if e["level"] == "SEVERE" and "Failed to load" not in e["message"]
        ]


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(shutil.which("chromedriver") or "chromedriver")
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(30)
    try:
        yield driver
    finally:
        driver.quit()
