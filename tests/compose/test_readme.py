"""The README's commands against the compose stack, typed as they stand there."""

import os
import signal
import subprocess

import pytest

from compose.readme import Block, blocks
from compose.shell import ROOT

BLOCKS = blocks((ROOT / "README.md").read_text())
LONGEST = 600
"""s; the first command of a clone installs its Python packages, which takes minutes on a busy machine."""


def test_the_readme_has_commands_to_run():
    assert len(BLOCKS) >= 3, "mark fenced blocks with <!-- run: compose -->"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line {block.line}")
def test_commands_work_as_written(stack, block: Block):
    # On a terminal of one's own, which Ctrl-C ends: `-o pipefail` alone would not see a failing first line.
    with subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", block.commands], cwd=stack.directory, env=stack.env,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=block.seconds or LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
            output, _ = process.communicate(timeout=30)
            assert block.seconds, f"not done after {LONGEST} s:\n{block.commands}\n{output[-3000:]}"
            assert output.strip(), f"nothing to see in {block.seconds} s:\n{block.commands}"
            return
    assert process.returncode == 0, f"exit status {process.returncode}:\n{block.commands}\n{output[-3000:]}"
    assert not block.seconds, f"ended by itself before {block.seconds} s:\n{block.commands}\n{output[-3000:]}"
