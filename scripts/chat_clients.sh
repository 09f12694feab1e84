#!/bin/sh
# Installs the chat clients that tests ask through, each group into an environment of its own: .tools/chat-clients has the
# newest of each, .tools/chat-clients-1 those that need the official client's first major version.
# Repeated: does nothing while an environment is what its requirements say; one that was cut off is made anew.
set -eu
cd "$(dirname "$0")/.."

install() {
    wanted=scripts/clients/$1.txt made=.tools/$1
    if [ -f "$made/installed.txt" ] && cmp -s "$wanted" "$made/installed.txt"; then
        return
    fi
    echo "set-up: installing $1" >&2
    rm -rf "$made"
    .venv/bin/python -m venv --without-pip "$made"
    # Wheels only: nothing is built, whatever a client's older releases would want.
    if ! .venv/bin/uv pip sync --quiet --only-binary :all: --python "$made/bin/python" "$wanted" 2>/dev/null; then
        .venv/bin/python -m pip --python "$made" install -qq --only-binary :all: --disable-pip-version-check -r "$wanted"
    fi
    cp "$wanted" "$made/installed.txt"
}

install chat-clients
install chat-clients-1
