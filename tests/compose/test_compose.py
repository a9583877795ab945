"""The stack that docker-compose.yml describes, looked at from outside."""

import urllib.parse

import pytest

from compose.shell import ROOT
from compose.stack import Stack, get, service_of
from observability import alerts, panels, selectors
from support import wait_until

# service: (container name or None, {container port: host port})
SERVICES = {
    "mosquitto": ("lwm2m-mosquitto", {8883: 8883, 1883: 1883, 9001: 9001}),
    "lwm2m-server": ("lwm2m-server", {8080: 8080}),
    "sparkplug-host": ("sparkplug-host", {8081: 8081}),
    "mqtt-redpanda-bridge": (None, {}),
    "device-simulator": (None, {}),
    "redpanda": ("iot-redpanda", {9092: 9092, 9644: 8084, 8081: 8085}),
    "redpanda-connect": ("redpanda-connect", {8087: 8087}),
    "console": ("console", {8088: 8088}),
    "testbed-exporter": ("testbed-exporter", {}),
    "prometheus": ("prometheus", {9090: 9090}),
    "alertmanager": ("alertmanager", {9093: 9093}),
}
ONE_SHOT = {"certs", "topics"}
# Who mounts which secret, besides `certs`, which makes them all.
SECRETS = {
    "ca": set(),
    "device-ca": {"device-simulator", "testbed-exporter"},
    "broker-identity": {"mosquitto"},
    "lwm2m-server-identity": {"lwm2m-server"},
    "sparkplug-host-identity": {"sparkplug-host"},
    "bridge-identity": {"mqtt-redpanda-bridge"},
    "console-identity": {"console"},
    "testbed-identity": set(),
    "alerts-token": {"console", "alertmanager"},
}
TOPICS = ("sparkplug.data", "lwm2m.registration", "lwm2m.updates", "lwm2m.http", "lwm2m.websocket")


def test_configuration_is_valid(engine):
    assert not Stack(ROOT, engine).compose("config", "--quiet").strip()


def test_every_service_is_there_and_healthy(stack):
    state = {service_of(found): found["State"] for found in stack.containers()}
    assert set(state) == set(SERVICES) | ONE_SHOT
    assert {name: state[name]["Health"]["Status"] for name in SERVICES} == dict.fromkeys(SERVICES, "healthy")
    ended = {name: (state[name]["Status"], state[name]["ExitCode"]) for name in ONE_SHOT}
    assert ended == dict.fromkeys(ONE_SHOT, ("exited", 0))


@pytest.mark.parametrize("service", SERVICES)
def test_names_and_ports(stack, service):
    [container] = stack.containers(service)
    name, ports = SERVICES[service]
    assert container["Name"] == f"/{name or f'{stack.project}-{service}-1'}"
    bindings = container["HostConfig"]["PortBindings"] or {}
    assert bindings == {
        f"{inner}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(outer)}] for inner, outer in ports.items()
    }


@pytest.mark.parametrize("service", [*SERVICES, *sorted(ONE_SHOT)])
def test_containers_are_confined(stack, service):
    [container] = stack.containers(service)
    host = container["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert host["PidsLimit"] > 0
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    assert host["RestartPolicy"]["Name"] == ("no" if service in ONE_SHOT else "unless-stopped")
    # `rpk redpanda start` writes its configuration to /etc.
    assert host["ReadonlyRootfs"] == (service != "redpanda")
    assert container["Config"]["User"] not in ("", "0", "root")


def test_secrets_are_mounted_only_by_their_owners(stack):
    prefix = f"{stack.project}_"
    holders: dict[str, set[str]] = {name: set() for name in SECRETS}
    for container in stack.containers():
        for mount in container["Mounts"]:
            volume = mount.get("Name", "").removeprefix(prefix)
            if volume in SECRETS and service_of(container) != "certs":
                holders[volume].add(service_of(container))
                assert not mount["RW"], f"{service_of(container)} can write {volume}"
    assert holders == SECRETS


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_fills(stack, topic):
    def records() -> int:
        text = stack.docker(
            "exec", "iot-redpanda", "rpk", "topic", "describe", "-p", f"iot.telemetry.{topic}"
        )
        rows = text.partition("HIGH-WATERMARK")[2].split("\n")[1:]
        return sum(int(row.split()[-1]) for row in rows if row.strip())

    wait_until(records, f"records in {topic}", seconds=60, interval=1)


def test_prometheus_reaches_every_part(stack):
    parts = set(SERVICES) - {"mosquitto"}

    def all_up() -> bool:
        targets = get("http://localhost:9090/api/v1/targets?state=active")["data"]["activeTargets"]
        wrong = [f"{t['labels']['job']}: {t['lastError']}" for t in targets if t["health"] != "up"]
        assert not wrong, wrong
        assert {t["labels"]["job"] for t in targets} == parts
        return True

    wait_until(all_up, "every target up", seconds=60, interval=1)


# Redpanda's own, which its stand-in does not have; the panel falls back to what the exporter measures.
ONLY_OF_REDPANDA = {"redpanda_kafka_request_latency_seconds_bucket"}
LOOKED_AT = sorted(
    {found for query in (*panels(), *alerts()) for found in selectors(query.expr)} - ONLY_OF_REDPANDA
)


@pytest.mark.parametrize("selector", LOOKED_AT)
def test_alerts_and_dashboards_look_at_series_that_exist(stack, selector):
    query = urllib.parse.urlencode({"query": f"count({selector})"})
    wait_until(
        lambda: get(f"http://localhost:9090/api/v1/query?{query}")["data"]["result"],
        selector,
        seconds=60,
        interval=1,
    )


def test_scaled_simulators_are_fleets_of_their_own(stack):
    stack.compose("up", "--detach", "--wait", "--no-recreate", "--scale", "device-simulator=5")
    try:
        wait_until(lambda: active_devices() == 10, "10 devices at the LwM2M server", seconds=60, interval=0.5)
        query = "http://localhost:9090/api/v1/query?query=count(up%7Bjob%3D%22device-simulator%22%7D%3D%3D1)"
        wait_until(
            lambda: get(query)["data"]["result"][0]["value"][1] == "5", "5 targets", seconds=40, interval=1
        )
        endpoints = {client["endpoint"] for client in get("http://localhost:8080/api/clients")}
        assert {"device-temp-001", "device-temp-2-001", "device-temp-5-001"} <= endpoints
    finally:
        stack.compose("up", "--detach", "--wait", "--no-recreate", "--scale", "device-simulator=1")


def active_devices() -> int:
    return int(get("http://localhost:8080/api/health")["active_devices"])
