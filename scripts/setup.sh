#!/bin/sh
# Brings the checkout to where every make target can run. Called by make before each of them.
# Repeated: does nothing, in a few milliseconds, while the stamp fits the files it was made from.
# Two at once: the second waits for the first, then finds nothing left to do.
set -eu
cd "$(dirname "$0")/.."
. scripts/ready.sh

if ready; then
    exit 0
fi
mkdir -p .tools
for python in python3 python /usr/bin/python3 python3.13; do
    if "$python" -c 'import fcntl' >/dev/null 2>&1; then
        exec "$python" scripts/hold_lock.py .tools/setup.lock sh scripts/install.sh
    fi
done
echo "Droptune needs Python to set itself up: install Python 3.13 (any Python 3 will do to start with)." >&2
exit 1
