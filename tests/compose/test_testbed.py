"""`./testbed` on the docker engine, and the ledger of a run in containers."""

import json

from compose.shell import run

SECONDS = 20


def test_up_is_harmless_when_everything_runs(stack):
    before = {container["Id"] for container in stack.containers()}
    output = run("./testbed", "up", "--engine", "docker", cwd=stack.directory, env=stack.env)
    assert "up" in output.splitlines()[-1]
    assert {container["Id"] for container in stack.containers()} == before


def test_nothing_is_lost(stack, measured):
    words = ("run", "--rm", "--no-TTY", "tools", "verify", "--seconds", str(SECONDS), "--json")
    output = stack.compose("--progress", "quiet", *words)
    result = json.loads(output[output.index("{") :])
    measured.append(f"verify: {result}")
    # Two devices at 95.24 and 5 messages a second.
    assert result["sent"] > 2 * 95 * SECONDS
    assert result["lost"] == 0
    assert result["delivered"] >= result["sent"]
