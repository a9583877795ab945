"""The parts of the native testbed: what starts each, what it needs, and when it is healthy."""

import json
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from iiot.certs import service_identity
from testbed.engines.base import EngineError
from testbed.engines.native import alertmanager, grafana, kafka, mosquitto, paths, prometheus
from testbed.engines.native.part import Part, answers, speaks_kafka, speaks_mqtt
from testbed.engines.native.ports import BRIDGE, Ports, bridge_names
from testbed.engines.native.process import Command

KAFKA = "kafka"
_URLS = {
    "lwm2m-server": "LWM2M_SERVER_URL",
    "sparkplug-host": "SPARKPLUG_HOST_URL",
    "mqtt-redpanda-bridge": "BRIDGE_URL",
    "device-simulator": "SIMULATOR_URL",
    "redpanda-connect": "CONNECT_URL",
    "prometheus": "PROMETHEUS_URL",
    "testbed-exporter": "EXPERIMENTS_URL",
}
"""Variables that tell a part where another answers HTTP."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What `up` decided; handed to the supervisor as a file."""

    devices: int
    profile: str | None
    bind: str
    port_offset: int
    jars: str
    with_prometheus: bool
    with_grafana: bool
    with_alertmanager: bool = False
    token_file: str = ""
    """Holds the token of the REST APIs; empty leaves them open."""
    bridges: int = 1
    """Bridges that share the devices."""

    @property
    def ports(self) -> Ports:
        """Where the parts listen."""
        return Ports(self.port_offset)

    def save(self, directory: Path) -> None:
        """Write it where the supervisor reads it."""
        (directory / "plan.json").write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, directory: Path) -> "Plan":
        """What `save` wrote.

        Raises:
            EngineError: it is missing or damaged, as after the state directory was deleted.
        """
        file = directory / "plan.json"
        try:
            return cls(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError, RecursionError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is damaged"
            raise EngineError(f"cannot read {file}: {reason}; ./testbed down ends what still runs") from exc


def parts_of(plan: Plan) -> list[Part]:
    """All parts, each after those it needs."""
    build = _Builder(plan)
    token: dict[str, object] = {"API_TOKEN_FILE": plan.token_file}
    parts = [
        build.mosquitto(),
        build.kafka(),
        build.topics(),
        build.service("lwm2m-server", {"DATABASE": build.data("lwm2m-server") / "lwm2m-server.db", **token}),
        build.service("sparkplug-host", token),
        *build.bridges(),
        build.connect(),
        build.simulator(),
        build.exporter(),
        build.console(),
    ]
    if plan.with_alertmanager:
        parts.append(build.alertmanager())
    if plan.with_prometheus:
        parts.append(build.prometheus())
    if plan.with_grafana:
        parts.append(build.grafana())
    return parts


class _Builder:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ports = plan.ports
        self.state = paths.state()
        self.certs = self.state / "certs"
        self.alerts_token = self.certs / "alerts" / "token"
        self.brokers = f"127.0.0.1:{self.ports.of(KAFKA)['kafka']}"

    def data(self, name: str) -> Path:
        directory = self.state / "data" / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def mosquitto(self) -> Part:
        ports = self.ports.of("mosquitto")
        broker = mosquitto.BrokerPorts(ports["mqtts"], ports["mqtt"], ports["websocket"])
        config = paths.root() / "mosquitto"
        return Part(
            "mosquitto",
            lambda: mosquitto.prepare(self.data("mosquitto"), config, self.certs, broker, self.plan.bind),
            speaks_mqtt(ports["mqtt"]),
            ports=ports,
            watch=10,  # each probe is three lines in the broker's log
            grace=20,
        )

    def kafka(self) -> Part:
        ports = self.ports.of(KAFKA)
        return Part(
            KAFKA,
            lambda: kafka.prepare(
                self.data(KAFKA),
                Path(self.plan.jars),
                port=ports["kafka"],
                controller_port=ports["controller"],
            ),
            speaks_kafka(ports["kafka"]),
            ports=ports,
            grace=20,
        )

    def topics(self) -> Part:
        command = Command(
            (sys.executable, "-m", "testbed", "topics"), self.state, {"KAFKA_BROKERS": self.brokers}
        )
        return Part("topics", lambda: command, lambda: None, needs=(KAFKA,), once=True)

    def service(self, name: str, environment: dict[str, object], needs: tuple[str, ...] = ()) -> Part:
        """One of our services: MQTT identity of its own, health on `/api/health`."""
        files = self._identity(name)
        return self._python(name, name.replace("-", "_"), {**files, **environment}, ("mosquitto", *needs))

    def bridges(self) -> list[Part]:
        """The bridge, or several with one identity and one state, which find each other by their ports."""
        names = bridge_names(self.plan.bridges)
        peers = ",".join(f"127.0.0.1:{self.ports.peer(name)}" for name in names) if len(names) > 1 else ""
        identity = self._identity(BRIDGE)
        common = {
            **identity,
            "KAFKA_BROKERS": self.brokers,
            "STATE_FILE": self.data(BRIDGE) / "bridge.sqlite",
            "PEERS": peers,
            "API_TOKEN_FILE": self.plan.token_file,
        }
        needs = ("mosquitto", "topics")
        return [
            self._python(name, "mqtt_redpanda_bridge", {**common, "PEER_PORT": self.ports.peer(name)}, needs)
            for name in names
        ]

    def simulator(self) -> Part:
        environment: dict[str, object] = {
            "DEVICE_CA_DIR": self.certs / "device-ca",
            "STATE_DIR": self.data("device-simulator"),
            "DEVICE_COUNT": self.plan.devices,
        }
        if self.plan.profile:
            environment["PROFILE"] = self.plan.profile
        # What a device sends before the bridge's session exists is nobody's: devices come last.
        bridges = bridge_names(self.plan.bridges)
        needs = ("lwm2m-server", "sparkplug-host", *bridges, "redpanda-connect")
        return self._python("device-simulator", "device_simulator", environment, needs)

    def console(self) -> Part:
        """What people open first; it needs the broker to start and shows whatever else is away."""
        urls = self._urls(*_URLS)
        bridges = (self.ports.http(name) for name in bridge_names(self.plan.bridges))
        urls[_URLS[BRIDGE]] = ",".join(f"http://127.0.0.1:{port}" for port in bridges)
        token: dict[str, object] = {
            "API_TOKEN_FILE": self.plan.token_file,
            "ALERTS_TOKEN_FILE": self.alerts_token,
        }
        return self.service("console", {**urls, **token, "KAFKA_BROKERS": self.brokers})

    def connect(self) -> Part:
        name = "redpanda-connect"
        port = self.ports.http(name)
        server = f"127.0.0.1:{self.ports.http('lwm2m-server')}"
        environment = {
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(port),
            "LWM2M_SERVER_URL": f"http://{server}",
            "LWM2M_SERVER_WS_URL": f"ws://{server}",
            "KAFKA_BROKERS": self.brokers,
            "CURSOR_DIR": str(self.data(name)),
        }
        config = str(paths.root() / "redpanda-connect-config.yaml")

        def command() -> Command:
            token = {"API_TOKEN": _token(self.plan.token_file)}
            line = (sys.executable, "-m", "testbed.connect", config)
            return Command(line, self.data(name), environment | token)

        needs = ("topics", "lwm2m-server")
        ready = answers(f"http://127.0.0.1:{port}/ready")
        return Part(name, command, ready, needs=needs, ports=self.ports.of(name))

    def exporter(self) -> Part:
        mqtt = self.ports.of("mosquitto")
        environment: dict[str, object] = {
            "MQTT_PORT": mqtt["mqtt"],
            "MQTT_TLS": "false",
            "BROKER_TLS_PORT": mqtt["mqtts"],
            "KAFKA_BROKERS": self.brokers,
            "SIMULATORS": f"127.0.0.1:{self.ports.http('device-simulator')}",
            **self._urls("lwm2m-server", "sparkplug-host", "prometheus"),
            "API_TOKEN_FILE": self.plan.token_file,
            "DEVICE_CA_DIR": self.certs / "device-ca",
            "EXPERIMENTS_DIR": self.state / "experiments",
            "SUPERVISOR_DIR": self.state,
            "DISKS": f"state={self.state}",
        }
        return self._python("testbed-exporter", "testbed.exporter", environment, ("topics",))

    def alertmanager(self) -> Part:
        directory, config = self.data("alertmanager"), paths.root() / "prometheus"
        return Part(
            "alertmanager",
            lambda: alertmanager.prepare(directory, config, self.ports, self.alerts_token),
            answers(f"http://127.0.0.1:{self.ports.http('alertmanager')}/-/ready"),
            ports=self.ports.of("alertmanager"),
        )

    def prometheus(self) -> Part:
        port = self.ports.http("prometheus")
        directory = self.data("prometheus")
        absent = () if self.plan.with_alertmanager else ("alertmanager",)
        return Part(
            "prometheus",
            lambda: prometheus.prepare(
                directory, paths.root() / "prometheus", self.ports, absent, self.plan.bridges
            ),
            answers(f"http://127.0.0.1:{port}/-/ready"),
            ports=self.ports.of("prometheus"),
        )

    def grafana(self) -> Part:
        port = self.ports.http("grafana")
        directory = self.data("grafana")
        return Part(
            "grafana",
            lambda: grafana.prepare(directory, paths.root() / "grafana", self.ports),
            answers(f"http://127.0.0.1:{port}/api/health"),
            ports=self.ports.of("grafana"),
        )

    def _urls(self, *names: str) -> dict[str, object]:
        return {_URLS[name]: f"http://127.0.0.1:{self.ports.http(name)}" for name in names}

    def _identity(self, name: str) -> dict[str, object]:
        identity = service_identity(self.certs, name)
        return {"MQTT_CA": identity.ca, "MQTT_CERT": identity.cert, "MQTT_KEY": identity.key}

    def _python(self, name: str, module: str, environment: dict[str, object], needs: tuple[str, ...]) -> Part:
        port = self.ports.http(name)
        common = {
            "MQTT_HOST": "127.0.0.1",  # needs no name resolution, and is a name of the broker's certificate
            "MQTT_PORT": self.ports.of("mosquitto")["mqtts"],
            "MQTT_TLS": "true",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": port,
            "PYTHONUNBUFFERED": "1",
        }
        variables = {key: str(value) for key, value in {**common, **environment}.items()}
        command = Command((sys.executable, "-m", module), self.data(name), variables)
        ready = answers(f"http://127.0.0.1:{port}/api/health")
        return Part(name, lambda: command, ready, needs=needs, ports=self.ports.of(name))


def _token(file: str) -> str:
    """The token in the file; where it cannot be read the servers, which start earlier, say so."""
    with suppress(OSError, UnicodeDecodeError):
        return Path(file).read_text().strip() if file else "none"
    return "none"
