"""A short run of every target, and all that was ever found; `./testbed test --fuzz MINUTES` runs longer."""

import random
import time

import pytest

from fuzz.campaign import FOUND, fuzz
from fuzz.targets import EVERY, TARGETS

RUNS = 120
LONGEST = 2.0
"""Seconds of processor time for one input of a megabyte at most, on a slow machine."""


def _inputs(name):
    chosen = random.Random(name)
    yield b""
    for _ in range(RUNS):
        yield chosen.randbytes(chosen.choice((4, 16, 64, 300)))


def _run(name, data):
    begun = time.thread_time()
    TARGETS[name](data)
    assert time.thread_time() - begun < LONGEST, f"{name}: {data.hex()}"


@pytest.mark.parametrize("name", TARGETS)
def test_generated_inputs_are_decoded_or_refused_in_bounded_time(name):
    for data in _inputs(name):
        _run(name, data)


@pytest.mark.parametrize(
    "file", sorted(FOUND.glob("*/*")), ids=lambda file: f"{file.parent.name}-{file.name[:20]}"
)
def test_what_was_found_once_is_decoded_or_refused(file):
    _run(file.parent.name, file.read_bytes())


def test_a_coverage_guided_run_over_every_target_finds_nothing(tmp_path):
    limits = ("-runs=6000", "-max_total_time=120", f"-seed={random.randrange(1, 2**31)}")
    outcome = fuzz(EVERY, limits, corpus=tmp_path / "corpus", found=tmp_path / "found")
    inputs = [file.read_bytes().hex() for file in (tmp_path / "found").iterdir()]
    assert not outcome.failed, f"{inputs}\n{outcome.log[-3000:]}"
    assert outcome.runs > 500
    assert outcome.covered > 500, "the decoders are not instrumented"
