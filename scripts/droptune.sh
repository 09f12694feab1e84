#!/bin/sh
# `droptune`, as set-up puts it beside the checkout's Python: the command line, from any folder.
root=$(cd "$(dirname "$0")/../.." && pwd)
PYTHONPATH=$root exec "$root/.venv/bin/python" -m cli "$@"
