import pytest
from prometheus_client import CollectorRegistry, generate_latest

from device_simulator.fleet import build_trees, make_plans
from device_simulator.identities import mqtt_settings_of
from device_simulator.metrics import Stats, StatsCollector
from device_simulator.settings import SimulatorSettings
from iiot import certs
from iiot.errors import SettingsError
from iiot.settings import load


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("DEVICE_COUNT", "0", "DEVICE_COUNT='0'.*greater than or equal to 1"),
        ("TELEMETRY_INTERVAL", "fast", "TELEMETRY_INTERVAL='fast'.*number"),
        ("LWM2M_INTERVAL", "0", "LWM2M_INTERVAL='0'"),
        ("SEED", "x", "SEED='x'.*integer"),
        ("SPARKPLUG_GROUP", "a/b", "SPARKPLUG_GROUP='a/b'"),
        ("LWM2M_PROFILE", "coap", "LWM2M_PROFILE='coap'.*'json' or 'oma'"),
        ("LWM2M_PREFIX", "a/b", "LWM2M_PREFIX='a/b'"),
        ("LWM2M_BOOTSTRAP", "yes", "LWM2M_BOOTSTRAP='yes'"),
        ("LWM2M_ROOT", "/3", "LWM2M_ROOT='/3'"),
        ("LWM2M_ASLEEP", "-1", "LWM2M_ASLEEP='-1'"),
        ("FIRMWARE_RESULT", "boom", "FIRMWARE_RESULT='boom'.*'no-flash'"),
    ],
)
def test_a_bad_value_names_its_variable(monkeypatch, name, value, complaint):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=complaint):
        load(SimulatorSettings)


def test_defaults_are_those_of_the_readme_and_empty_variables_count_as_unset(monkeypatch):
    for name in ("SEED", "KINDS_DIR", "OBJECTS_DIR", "DEVICE_CA_DIR"):
        monkeypatch.setenv(name, "")
    settings = load(SimulatorSettings)
    assert (settings.device_count, settings.telemetry_interval, settings.lwm2m_interval) == (2, 0.0105, 0.2)
    assert (settings.http_port, settings.seed, settings.kinds_dir) == (8083, None, None)


def test_sleep_and_firmware_come_from_variables(monkeypatch):
    assert load(SimulatorSettings).sleep is None
    monkeypatch.setenv("LWM2M_ASLEEP", "60")
    monkeypatch.setenv("FIRMWARE_RESULT", "integrity")
    settings = load(SimulatorSettings)
    assert (settings.sleep.asleep, settings.sleep.awake, settings.firmware.result) == (60, 20, "integrity")


def test_each_device_has_its_certificate_and_keeps_it(tmp_path):
    certs.create_authority(tmp_path / "certs")
    factory = tmp_path / "certs" / "device-ca"
    settings = SimulatorSettings(device_ca_dir=factory, state_dir=tmp_path / "state", mqtt_host="broker")
    one, two = mqtt_settings_of(["a", "b"], settings)
    assert one.mqtt_host == "broker"
    assert one.mqtt_cert != two.mqtt_cert
    assert one.mqtt_cert.is_file()
    made = one.mqtt_cert.read_bytes()
    (again,) = mqtt_settings_of(["a"], settings)
    assert again.mqtt_cert.read_bytes() == made


@pytest.mark.parametrize("directory", [None, "elsewhere", "device-ca"])
def test_without_a_device_authority_the_setting_is_named(tmp_path, directory):
    settings = SimulatorSettings(
        device_ca_dir=directory and tmp_path / directory, state_dir=tmp_path / "state"
    )
    with pytest.raises(SettingsError, match="DEVICE_CA_DIR="):
        mqtt_settings_of(["a"], settings)


def test_no_certificates_without_tls_or_with_a_given_one(tmp_path):
    for settings in (SimulatorSettings(mqtt_tls=False), SimulatorSettings(mqtt_cert=tmp_path / "c.crt")):
        one, two = mqtt_settings_of(["a", "b"], settings)
        assert one is two


def test_a_kind_beyond_the_definitions_is_refused(tmp_path):
    (tmp_path / "odd.yaml").write_text(
        "{name: odd, id: odd, model: odd, battery: {supply: mains},"
        " channels: [{metric: A, path: /3300/0/4242, range: [0, 1], signal: {base: 0}}]}"
    )
    (tmp_path / "p.yml").write_text("devices: [{kind: odd, count: 1}]")
    settings = SimulatorSettings(kinds_dir=tmp_path, profile=str(tmp_path / "p.yml"))
    with pytest.raises(SettingsError, match="kind odd: resource /3300/0/4242"):
        build_trees(make_plans(settings), settings)


def test_a_fleet_of_nobody_is_refused(tmp_path):
    (tmp_path / "p.yml").write_text("devices: [{kind: energy, count: 0}]")
    with pytest.raises(SettingsError, match="at least one device"):
        make_plans(SimulatorSettings(profile=str(tmp_path / "p.yml")))


def test_metrics_show_every_label_from_the_start_and_the_lag_as_a_histogram():
    stats, registry = Stats(), CollectorRegistry()
    registry.register(StatsCollector(stats, "7", lambda: None))
    before = generate_latest(registry).decode()
    assert 'simulator_messages_sent_total{fleet="7",protocol="lwm2m",type="register"} 0.0' in before
    assert 'simulator_commands_total{fleet="7",protocol="sparkplug",result="refused"} 0.0' in before
    for topic in ("spBv1.0/IIoT/DDATA/a/asset", "lwm2m/a/reg", "lwm2m/a/resp/t"):
        stats.count_sent(topic)
    stats.observe_lag(0.003)
    stats.observe_lag(7)
    after = generate_latest(registry).decode()
    assert 'simulator_messages_sent_total{fleet="7",protocol="sparkplug",type="ddata"} 1.0' in after
    assert 'simulator_schedule_lag_seconds_bucket{fleet="7",le="0.0025"} 0.0' in after
    assert 'simulator_schedule_lag_seconds_bucket{fleet="7",le="0.005"} 1.0' in after
    assert 'simulator_schedule_lag_seconds_count{fleet="7"} 2.0' in after
