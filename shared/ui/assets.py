"""The page's stylesheet, script and icon: what they are, and a word that changes when they do. Read once."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "assets"
KINDS = {"style.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


@cache
def content(name: str) -> bytes:
    """The bytes of one of `KINDS`. Raises KeyError for any other name."""
    if name not in KINDS:
        raise KeyError(name)
    return (FOLDER / name).read_bytes()


@cache
def version() -> str:
    """A short hash of all of them: part of their addresses, so that browsers may keep them for ever."""
    return hashlib.sha256(b"".join(content(name) for name in sorted(KINDS))).hexdigest()[:12]
