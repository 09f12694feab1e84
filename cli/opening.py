"""`droptune open`: the app's page in the browser, signed in. Its address is printed, too, for whoever has none here.

The key is never part of an address, a command line or a file: browsers keep what they visited, terminals what they
showed, and others can read which programs run with what. What signs in is a ticket, good for a minute, in a form that a
file of the user's own sends to the app. A repeat writes the file anew.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import time
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from cli import printing
from cli.target import RECORD
from shared.ui.sign_in import ticket_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.target import Target

_FILE = "open.html"
_FORM = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>Droptune</title>
<form method="post" action="{action}">{fields}<p>Opening Droptune. <button>Go on</button></p></form>
<script>document.forms[0].submit()</script></html>
"""


def open_page(
    target: Target,
    path: str,
    browse: Callable[[str], object] | None,
    as_json: bool,
    clock: Callable[[], float] = time.time,
) -> None:
    """Prints the address of the page, or of what it has at a path below, and has `browse` open it."""
    address = f"{target.app}/api/ui{path}"
    if as_json:
        printing.print_json({"address": address})
    else:
        where = f"app_key in {RECORD}" if target.local else "one of the app's PAGE_KEYS"
        printing.print_line(address)
        printing.print_line(f"if the browser asks for a key there, it is {where}")
    if browse is not None:
        browse(_signing_in(target, path, clock()) or address)


def _signing_in(target: Target, path: str, now: float) -> str:
    """The address of a file that signs the browser in and leads it on; empty where none can be written."""
    with contextlib.suppress(OSError):  # of a user without a name as well
        fields = {"ticket": ticket_for(target.key, getpass.getuser(), now), "next": f"/api/ui{path}"}
        if not target.app.startswith("https:"):
            fields["plain"] = "1"  # a cookie that needs https would be lost
        hidden = "".join(f'<input type="hidden" name="{name}" value="{escape(text)}">' for name, text in fields.items())
        form = _FORM.format(action=escape(f"{target.app}/api/ui/sign-in"), fields=hidden)
        return _written(target.folder or _own_folder(), form).as_uri()
    return ""


def _own_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "droptune"


def _written(folder: Path, text: str) -> Path:
    """A file that nobody else may read, in place of the one before. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder.resolve() / _FILE
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text)
    return file
