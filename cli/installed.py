"""`droptune` as an installed program: `pipx install '.[cli]'` or `uv tool install '.[cli]'`, from the checkout."""

from __future__ import annotations

import sys


def main() -> None:
    """The command line; says how to install it where it was installed without what it needs."""
    try:
        from cli.__main__ import app
    except ModuleNotFoundError as error:
        sys.exit(f"droptune lacks {error.name}: install it with what its command line needs, pipx install '.[cli]'")
    app(prog_name="droptune")
