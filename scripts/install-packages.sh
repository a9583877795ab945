#!/bin/sh
# Install Debian packages without recommended extras and without starting their daemons.
# Usage (as root): scripts/install-packages.sh PACKAGE...
set -eu

policy=/usr/sbin/policy-rc.d
mark='# testbed: daemons stay off while packages are installed'
if [ ! -e "$policy" ] || grep -qF "$mark" "$policy"; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
# Another apt on the machine is waited for.
apt="apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2"
log=$(mktemp)
if ! $apt install -y --no-install-recommends "$@" >"$log" 2>&1 &&
    ! { $apt update && $apt install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    exit 1
fi
rm -f "$log"
