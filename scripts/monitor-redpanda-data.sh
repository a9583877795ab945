#!/bin/sh
# Opens the live view of the testbed; see ./testbed monitor --help.
exec "$(dirname "$0")/../testbed" monitor "$@"
