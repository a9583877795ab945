import pytest
from aiohttp.test_utils import make_mocked_request

from console.upstream import LONGEST, _wanted_timeout


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("nan", 6),
        ("-nan", 6),
        ("inf", LONGEST + 1),
        ("1e400", LONGEST + 1),
        ("-inf", 6),
        ("x", 5),
        ("30", 31),
    ],
)
def test_a_request_that_is_passed_on_always_ends(given, seconds):
    request = make_mocked_request("GET", f"/api/lwm2m/x?timeout={given}")
    assert _wanted_timeout(request, 5.0) == seconds
