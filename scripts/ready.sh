# Sourced by setup.sh and install.sh: is what stands in .venv and .tools what these files describe?

azurite=.tools/azurite/node_modules/azurite/dist/src/azurite.js
npm_client=.tools/clients/node_modules/openai/package.json

# The path is part of it, because a virtual environment does not survive being moved.
fingerprint() {
    { pwd; cat requirements-dev.txt scripts/*/package*.json scripts/*.sh; } | cksum
}

python_runs() {
    "$1" -I -S -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1
}

ready() {
    [ -f .tools/stamp ] && [ "$(cat .tools/stamp)" = "$(fingerprint)" ] &&
        [ -f $azurite ] && [ -f $npm_client ] && python_runs .venv/bin/python
}
