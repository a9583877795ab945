"""Every import is declared by its member, and every lock has what its image needs, in the same version."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from testbed.lock import MEMBERS

ROOT = Path(__file__).parents[3]
OWN = {path.name for path in ROOT.glob("*/src/*")}
NOT_IN_IMAGES = {"mq-bridge", "mq-bridge-connect", "grafana-foundation-sdk", "paho-mqtt"}
LOCKS = {path.stem: path.read_text() for path in (ROOT / "requirements").glob("*.txt")}


def declared(member):
    project = tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return {re.match(r"[\w-]+", line)[0].lower() for line in lines}


def imported(member):
    names = set()
    for file in (ROOT / member / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - OWN


def pins(text):
    return dict(re.findall(r"^([\w-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_declares_what_it_imports(member):
    distributions = packages_distributions()
    needed = {distributions[name][0].lower().replace("_", "-") for name in imported(member)}
    assert needed - declared(member) == set()
    used_indirectly = {"iiot", "uvloop"}
    assert declared(member) - needed - used_indirectly == set()


@pytest.mark.parametrize("member", MEMBERS[1:])
def test_a_lock_holds_what_its_image_needs(member):
    wanted = (declared("common") | declared(member)) - {"iiot", *NOT_IN_IMAGES}
    assert wanted - pins(LOCKS[member]).keys() == set()


def test_all_locks_agree_and_are_hashed_without_addresses():
    dev = pins(LOCKS["dev"])
    for name, text in LOCKS.items():
        assert pins(text).items() <= dev.items(), name
        assert "://" not in text
        assert text.count("--hash=sha256:") >= len(pins(text))
