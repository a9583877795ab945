"""The testbed's own images: small, unprivileged, exactly what the lock files say."""

import json
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from compose.shell import ROOT
from compose.stack import Stack

MAX_BYTES_OVER_BASE = 80 * 1000 * 1000
PACKAGES = {
    "lwm2m-server": "lwm2m_server",
    "sparkplug-host": "sparkplug_host",
    "mqtt-redpanda-bridge": "mqtt_redpanda_bridge",
    "device-simulator": "device_simulator",
    "console": "console",
    "testbed-cli": "testbed",
}
LISTING = """\
import importlib.metadata, json
print(json.dumps({d.name: d.version for d in importlib.metadata.distributions(path=["%s"])}))
"""


@pytest.fixture(scope="module")
def shop(images) -> Stack:
    return Stack(ROOT, images)


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    lines = (ROOT / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))


@pytest.fixture(params=PACKAGES)
def image(request, settings) -> str:
    return f"iot-testbed/{request.param}:{settings['TESTBED_VERSION']}"


def test_size(shop, settings, image, measured):
    over = shop.image(image)["Size"] - shop.image(settings["PYTHON_IMAGE"])["Size"]
    measured.append(f"{image}: {over / 1e6:.1f} MB over its base")
    assert over <= MAX_BYTES_OVER_BASE


def test_labels_user_and_health(shop, settings, image):
    config = shop.image(image)["Config"]
    name = image.partition("/")[2].partition(":")[0]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == name
    assert labels["org.opencontainers.image.version"] == settings["TESTBED_VERSION"]
    assert labels["org.opencontainers.image.description"]
    assert config["User"] == "testbed"
    assert shop.docker("run", "--rm", "--entrypoint", "id", image, "-u").strip() == "1883"
    assert (config["Healthcheck"]["Test"] == ["NONE"]) == (name == "testbed-cli")


def test_packages_are_those_of_the_lock_file(shop, image):
    name = image.partition("/")[2].partition(":")[0]
    lock = (ROOT / "requirements" / f"{name}.txt").read_text()
    lines = [Requirement(line.rstrip(" \\")) for line in lock.splitlines() if re.match(r"[\w.-]+==", line)]
    wanted = {
        canonicalize_name(line.name): str(line.specifier).removeprefix("==")
        for line in lines
        if line.marker is None or line.marker.evaluate()
    }
    listing = LISTING % "/opt/venv/lib/python3.11/site-packages"
    found = json.loads(shop.docker("run", "--rm", "--entrypoint", "python", image, "-c", listing))
    assert {canonicalize_name(package): version for package, version in found.items()} == wanted


def test_code_is_the_services_own(shop, image):
    name = image.partition("/")[2].partition(":")[0]
    listing = shop.docker("run", "--rm", "--entrypoint", "ls", image, "/app")
    assert set(listing.split()) == {"iiot", PACKAGES[name]}


def test_nothing_of_the_building_machine_is_inside(shop, image):
    history = shop.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    assert "index-url" not in history
    traces = "test ! -e /run/secrets && test ! -e /root/.cache && test ! -e /etc/pip.conf"
    shop.docker("run", "--rm", "--user", "0", "--entrypoint", "sh", image, "-c", traces)
