#!/bin/sh
# Makes sure that the machine has what `make` needs: installs it when root on Debian, else says
# in one message what is missing.
set -eu

packages=""
need() { # a command that succeeds when the package is there, the package
    sh -c "$1" >/dev/null 2>&1 || packages="$packages $2"
}
need 'command -v cc' 'gcc libc6-dev'
need 'python3 -c "import ensurepip, venv"' 'python3-venv'

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "tickdeck needs Python 3.11 or newer as python3 (Debian 12: apt-get install python3)" >&2
    exit 1
fi
if ! command -v cargo >/dev/null; then
    echo "tickdeck needs cargo 1.95 or newer on the PATH (https://rustup.rs); Debian's own is too old" >&2
    exit 1
fi
if [ -n "$packages" ]; then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        echo "installing$packages"
        apt-get update -qq
        # shellcheck disable=SC2086 # the list is split on purpose
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages >/dev/null
    else
        echo "missing system packages; as root: apt-get install$packages" >&2
        exit 1
    fi
fi
