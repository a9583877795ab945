"""What the documentation names exists: commands with their options, modules, scripts, links."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from testbed.app import make_app
from testbed.commands import COMMANDS

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md"])
TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}
OWN = {path.name for path in ROOT.glob("*/src/*")}
PROGRAM = get_command(make_app(COMMANDS))


def code(text):
    """Lines of fenced blocks, joined where they go on, and what stands in backticks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines = [re.sub(r"(^|\s)#.*", "", line) for line in lines]
    return lines + [" ".join(one.split()) for one in re.findall(r"`([^`]+)`", rest)]


def calls(pattern):
    """Each call in the documentation: page, and what follows the pattern up to the end of the command."""
    return [
        pytest.param(found, id=f"{page}: {found}"[:100])
        for page, text in TEXTS.items()
        for line in code(text)
        for found in re.findall(rf"(?:^|[ (]){pattern}((?:[^|;&#]|&(?!&))*)", line)
    ]


def words_of(text):
    """What is surely meant as written: up to a placeholder."""
    try:
        words = shlex.split(text.replace("[", " [ ").replace("…", " [ "))
    except ValueError:
        words = text.split()
    return words


@pytest.mark.parametrize("call", calls(r"\./testbed"))
def test_a_command_has_the_name_and_the_options_that_are_named(call):
    command, words = PROGRAM, words_of(call)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        name = words.pop(0)
        if name in {"COMMAND", "["}:
            return
        assert name in command.commands, f"{call!r}: no {name}"
        command = command.commands[name]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    known |= {"--help", "-h", "--"}
    for word in words:
        if word == "--":
            return
        if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word):
            assert word.split("=")[0] in known, f"{call!r}: no {word}"


def test_many_commands_are_named():
    assert len(calls(r"\./testbed")) > 80


@pytest.mark.parametrize("call", calls(r"(\S*python3? +-m +[\w.]+|\S*python3? +scripts/\S+)"))
def test_a_module_or_script_is_there_and_runs_with_the_python_that_has_it(call):
    python, *_, target = call[0].split()
    own = target.split(".")[0] in OWN or target.startswith("scripts/")
    assert not own or python == ".venv/bin/python", f"{call}: another Python does not have it"
    if target.startswith("scripts/"):
        assert (ROOT / target).is_file()
    else:
        assert importlib.util.find_spec(target)


@pytest.mark.parametrize("call", calls(r"(?:\./)?(scripts/[\w.-]+|tests/[\w./-]+\.py)"))
def test_a_file_that_is_named_is_there(call):
    path = call[0]
    assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", TEXTS)
def test_links_inside_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", TEXTS[page]):
        assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("page", TEXTS)
def test_no_blank_line_splits_a_table(page):
    lines = TEXTS[page].splitlines()
    for number, line in enumerate(lines[2:-1], 2):
        if line.startswith("|") and not lines[number - 1] and lines[number - 2].startswith("|"):
            assert re.match(r"\|[-: |]+\|$", lines[number + 1]), f"{page}:{number}: a row without a head"


def test_compose_md_counts_the_images():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    built = {service["image"] for service in services if "build" in service}
    pulled = {service["image"] for service in services} - built
    words = {5: "five", 6: "six", 7: "seven"}
    assert (
        f"builds {words[len(built)]} small images, pulls {words[len(pulled)]} official"
        in TEXTS["docs/compose.md"]
    )
