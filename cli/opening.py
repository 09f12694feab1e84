"""`droptune open`: the app's page in the browser. Its address is printed too, for whoever has none here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli import printing
from cli.target import KEY, RECORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.target import Target


def open_page(target: Target, path: str, browse: Callable[[str], object], as_json: bool) -> None:
    """Opens the page, or what it has at a path below. The key is never part of an address, nor printed: browsers keep
    what they visited, and terminals what they showed."""
    address = f"{target.app}/api/ui{path}"
    if as_json:
        printing.print_json({"address": address})
    else:
        where = f"app_key in {RECORD}" if target.local else f"the one in {KEY}"
        printing.print_line(address)
        printing.print_line(f"sign in there with the key ({where}), if it asks for one")
    browse(address)
