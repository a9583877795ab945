"""Container health check: status 0 when the service of this container answers `/api/health` with 200.

Only the standard library, because it runs every few seconds. `HTTP_PORT` names the service's port.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_SECONDS = 3.0


def check(port: int) -> str | None:
    """Return what is wrong with the service on this port of the loopback interface, or None."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/api/health")
        response = connection.getresponse()
        body = response.read(4096).decode(errors="replace")
    except (OSError, HTTPException) as exc:
        return f"no answer on port {port}: {exc}"
    finally:
        connection.close()
    return None if response.status == 200 else f"status {response.status}: {body}"


if __name__ == "__main__":
    if problem := check(int(os.environ["HTTP_PORT"])):
        sys.exit(problem)
