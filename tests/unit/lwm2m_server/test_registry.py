import random

import pytest

from iiot.lwm2m.message import Link, Register, Update
from iiot.lwm2m.path import Path
from lwm2m_rig import Clock
from lwm2m_server.registry import Registry

LINKS = (Link(Path.of(3, 0)), Link(Path.of(3303), {"ver": "1.1"}))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def registry(clock):
    return Registry(clock)


def register(registry, endpoint="d1", lifetime=60, **changes):
    message = Register(endpoint=endpoint, lifetime=lifetime, links=LINKS, **changes)
    return registry.register(message, "json")


def expired(registry):
    return [registration.endpoint for registration in registry.expire()]


def test_a_registration_ends_with_its_lifetime_and_not_before(registry, clock):
    register(registry)
    clock.advance(59.9)
    assert expired(registry) == []
    clock.advance(0.2)
    assert expired(registry) == ["d1"]
    assert (len(registry), registry.online, registry.get("d1")) == (0, 0, None)


def test_an_update_starts_the_lifetime_anew(registry, clock):
    register(registry)
    clock.advance(50)
    registry.update("d1", Update())
    clock.advance(50)
    assert expired(registry) == []
    clock.advance(11)
    assert expired(registry) == ["d1"]


def test_a_shorter_lifetime_counts_at_once_and_a_longer_one_too(registry, clock):
    register(registry, lifetime=3600)
    registry.update("d1", Update(lifetime=5))
    clock.advance(4)
    registry.update("d1", Update(lifetime=100))
    clock.advance(60)
    assert expired(registry) == []
    registry.update("d1", Update(lifetime=1))
    clock.advance(1)
    assert expired(registry) == ["d1"]


def test_lifetime_0_never_ends(registry, clock):
    register(registry, lifetime=0)
    clock.advance(10**9)
    assert expired(registry) == []
    registry.update("d1", Update(lifetime=1))
    clock.advance(1)
    assert expired(registry) == ["d1"]


def test_a_new_registration_replaces_the_old_one(registry, clock):
    first = register(registry)
    clock.advance(1)
    second = register(registry, lifetime=10)
    assert first.id != second.id
    assert (len(registry), registry.online) == (1, 1)
    assert second.registered_ms == first.registered_ms + 1000


def test_an_update_changes_what_it_names(registry):
    register(registry)
    registration = registry.update("d1", Update(binding="UQ", links=(Link(Path.of(1, 0)),)))
    assert (registration.binding, registration.links) == ("UQ", (Link(Path.of(1, 0)),))
    assert registry.update("d2", Update()) is None


def test_wall_clock_jumps_end_nothing(registry, clock):
    register(registry)
    clock.wall += 10**9
    assert expired(registry) == []


def test_births_and_deaths_count_changes_only(registry):
    register(registry)
    assert registry.set_online("d1", True) is None
    assert registry.set_online("d1", False).online is False
    assert registry.set_online("d1", False) is None
    assert (len(registry), registry.online) == (1, 0)
    registry.remove("d1")
    assert registry.online == 0
    assert registry.set_online("d1", True) is None


def test_a_stored_registration_comes_back(registry, clock):
    stored = register(registry, lifetime=100, binding="UQ", sms="123").dump()
    clock.advance(40)
    restored = Registry(clock)
    registration = restored.restore(stored, grace=10)
    assert registration.dump() == stored
    assert registration.links == LINKS
    clock.advance(59)
    assert expired(restored) == []
    clock.advance(2)
    assert expired(restored) == ["d1"]


def test_a_restored_registration_gets_its_grace(registry, clock):
    stored = register(registry).dump()
    clock.advance(3600)
    restored = Registry(clock)
    restored.restore(stored, grace=10)
    clock.advance(9)
    assert expired(restored) == []
    clock.advance(2)
    assert expired(restored) == ["d1"]


def test_the_schedule_stays_small_and_right_under_any_traffic(registry, clock):
    rng = random.Random(7)
    ends = {}
    for _ in range(5000):
        endpoint = f"d{rng.randrange(20)}"
        lifetime = rng.choice([1, 5, 60, 86400])
        if endpoint in ends and rng.random() < 0.7:
            registry.update(endpoint, Update(lifetime=lifetime))
        elif rng.random() < 0.1:
            registry.remove(endpoint)
            ends.pop(endpoint, None)
            continue
        else:
            register(registry, endpoint, lifetime)
        ends[endpoint] = clock.now + lifetime
        clock.advance(rng.random())
        due = {name for name, end in ends.items() if end <= clock.now}
        assert set(expired(registry)) == due
        for name in due:
            del ends[name]
    assert len(registry._ends) < 200
