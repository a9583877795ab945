"""A file that stands for more than a person writes is refused at once, with its line."""

import time

import pytest
import yaml
from pydantic import Field

from iiot.budgets import FILE_BYTES
from iiot.errors import SettingsError
from iiot.lwm2m.yaml_nodes import YamlError, compose
from iiot.yaml_budget import YamlBudgetError, check_aliases, check_text
from iiot.yamlfile import StrictModel, load_yaml
from testbed.connect.config import ConfigError, parse


def levels(count, width, shape):
    lines = [shape.format(name="a0", of=", ".join(["x"] * width))]
    lines += [
        shape.format(name=f"a{level}", of=", ".join([f"*a{level - 1}"] * width)) for level in range(1, count)
    ]
    return "\n".join(lines)


LISTS = levels(8, 10, "{name}: &{name} [{of}]")
MAPS = "a0: &a0 {x: 1, y: 2}\n" + "\n".join(
    f"a{n}: &a{n} {{{', '.join(f'k{i}: *a{n - 1}' for i in range(9))}}}" for n in range(1, 8)
)
MERGES = "a0: &a0 {x: 1}\n" + "\n".join(
    f"a{n}: &a{n} {{'<<': [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 8)
)
KEYS = "a0: &a0 [x, x]\n" + "\n".join(f"? &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n: 1" for n in range(1, 8))
TEXTS = f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 20)}]"
CHAIN = "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200))
BOMBS = {
    "lists": (LISTS, 5, "values once aliases"),
    "maps": (MAPS, 6, "values once aliases"),
    "merges": (MERGES, 6, "values once aliases"),
    "keys": (KEYS, 10, "values once aliases"),
    "texts": (TEXTS, 2, "characters once aliases"),
    "chain": (CHAIN, 51, "nested deeper"),
    "own alias": ("b: 1\na: &a [*a]", 2, "alias of itself"),
    "own key": ("b: 1\na: &a {x: {y: *a}}", 2, "alias of itself"),
    "brackets": ("a: 1\nb: " + "[" * 1000, 2, "nested deeper"),
    "size": ("a: 1\n" + "#\n" * FILE_BYTES, 1, "larger than"),
}
each_bomb = pytest.mark.parametrize(("text", "line", "reason"), BOMBS.values(), ids=BOMBS)


def check(text):
    check_text(text)
    check_aliases(yaml.compose(text, Loader=yaml.SafeLoader))


class File(StrictModel):
    a: int = Field(default=0)


@each_bomb
def test_a_bomb_is_refused_with_its_line(text, line, reason):
    started = time.monotonic()
    with pytest.raises(YamlBudgetError, match=reason) as caught:
        check(text)
    assert caught.value.line == line
    assert time.monotonic() - started < 5


@each_bomb
def test_files_of_settings_are_bounded(tmp_path, text, line, reason):
    file = tmp_path / "routes.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=rf"routes\.yaml:{line}: .*{reason}"):
        load_yaml(file, File)


@each_bomb
def test_definitions_of_objects_are_bounded(text, line, reason):
    with pytest.raises(YamlError, match=reason) as caught:
        compose(text.encode())
    assert caught.value.line == line


@each_bomb
def test_the_configuration_of_connect_is_bounded(text, line, reason):
    with pytest.raises(ConfigError, match=rf"line {line}: .*{reason}"):
        parse(text, {}, "")


def test_a_file_whose_last_character_is_cut_is_too_large(tmp_path):
    file = tmp_path / "f.yaml"
    file.write_bytes(b"a" + "é".encode() * FILE_BYTES)
    with pytest.raises(SettingsError, match=r"f\.yaml:1: larger than"):
        load_yaml(file, File)


def test_aliases_that_save_typing_are_fine():
    text = "base: &base {a: 1}\nlist: &list [*base, *base]\nmore: {<<: *base, b: *list}\nagain: *list\n"
    check(text)
    check("")
