#!/bin/sh
# Brings everything that is needed: finds Python, then checks the machine, fills .venv and fetches the servers.
# Nothing to do is told by a stamp, at once. Run by `make setup`, and by every command that needs the servers.
set -eu
cd "$(dirname "$0")/../.."
export HOME="${HOME:-$PWD/.stack}"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/faust-payments"
wanted=$(cat requirements.lock infra/native/servers.lock infra/*/jgo.lock.toml infra/native/setup.sh \
    infra/native/class_data.py | cksum)
wanted="$wanted ${PYTHON:-}"

# The stamp lies in both places, so that losing either (.venv or the cache) is noticed.
if [ "$(cat .venv/setup.stamp 2>/dev/null)" = "$wanted" ] && [ -e "$cache/complete" ] &&
    .venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

# A name on PATH is not enough: a version manager's stand-in may be there for a Python that is not.
supported='import sys; raise SystemExit(not (3, 11) <= sys.version_info < (3, 14))'
python=
for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
    if "$candidate" -c "$supported" >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "setup: no supported Python found (looked for: ${PYTHON:-python3.13 python3.12 python3.11 python3}):" \
        "install Python 3.11, 3.12 or 3.13, or name one with PYTHON=/path/to/python" >&2
    exit 1
fi
exec "$python" -m infra.native.install "$wanted"
