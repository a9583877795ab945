import pytest

from device_simulator.servers import Server, ServerList
from device_simulator.settings import SimulatorSettings
from iiot.errors import SettingsError
from iiot.settings import MqttSettings, load


def address(settings):
    return settings.mqtt_host, settings.mqtt_port


def test_the_list_begins_with_the_first_server_and_takes_its_port_where_none_is_given(monkeypatch):
    monkeypatch.setenv("MQTT_HOST", "one")
    monkeypatch.setenv("MQTT_PORT", "1884")
    monkeypatch.setenv("MQTT_SERVERS", "two, three:1885 ,[::1]:1886,[fe80::2],")
    assert load(SimulatorSettings).servers == (
        Server("one", 1884),
        Server("two", 1884),
        Server("three", 1885),
        Server("::1", 1886),
        Server("fe80::2", 1884),
    )


@pytest.mark.parametrize("text", ["two:0", "two:x", ":1883", "two:65536", "a b:1", "two:"])
def test_a_wrong_entry_is_refused_by_its_name(monkeypatch, text):
    monkeypatch.setenv("MQTT_SERVERS", text)
    with pytest.raises(SettingsError, match=rf"MQTT_SERVERS='{text}': host or host:port"):
        load(SimulatorSettings)


def test_a_server_that_answers_is_kept_and_one_that_does_not_is_left():
    settings = MqttSettings(mqtt_host="one", mqtt_port=1)
    servers = ServerList([Server("one", 1), Server("two", 2), Server("three", 3)])
    seen = [address(servers.take(settings))]
    servers.answered()
    seen += [address(servers.take(settings)) for _ in range(4)]
    assert seen == [("one", 1), ("one", 1), ("two", 2), ("three", 3), ("one", 1)]
    servers.answered()
    servers.move_on()
    assert address(servers.take(settings)) == ("two", 2)


def test_a_single_server_is_asked_again_and_again():
    settings = MqttSettings(mqtt_host="one", mqtt_port=1)
    servers = ServerList([Server("one", 1)])
    assert {address(servers.take(settings)) for _ in range(3)} == {("one", 1)}
    servers.move_on()
    assert servers.current == Server("one", 1)
    assert not servers.has_others
