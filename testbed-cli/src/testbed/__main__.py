"""`python -m testbed`."""

from testbed.app import app

app()
