"""Last, since nothing is left to look at afterwards."""


def test_down_leaves_nothing(stack):
    project = stack.project
    stack.compose("down", "--volumes", "--remove-orphans")
    label = f"label=com.docker.compose.project={project}"
    left = [
        stack.docker("ps", "--all", "--quiet", "--filter", label),
        stack.docker("volume", "ls", "--quiet", "--filter", label),
        stack.docker("network", "ls", "--quiet", "--filter", label),
    ]
    assert left == ["", "", ""]
    # Anonymous volumes carry no label.
    assert set(stack.docker("volume", "ls", "--quiet").split()) <= stack.volumes_before
