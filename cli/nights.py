"""`droptune night`: the nightly cleanup now; dry, which says what it would do, or for real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli import printing
from cli.printing import count
from shared.operations.times import size_in_words

if TYPE_CHECKING:
    from cli.client import AppClient


def night(client: AppClient, *, dry_run: bool, by: str, as_json: bool) -> None:
    """Has the app do it, and prints what it says. Raises CommandFailed, also while another cleanup is under way."""
    found: Any = client.post("night", dry="true" if dry_run else "false", by=by)
    if as_json:
        printing.print_json(found)
    elif dry_run:
        _print_preview(found)
    else:
        printing.print_line("the nightly round begins; `droptune costs --nights` shows its report")


def _print_preview(found: dict[str, Any]) -> None:
    rows = [[one["dataset"], one["state"], one["verdict"], one["why"]] for one in found["datasets"]]
    if rows:
        printing.print_table(("dataset", "state", "verdict", "why"), rows)
    for one in found["deletes"]:
        blobs = f"{count(one['blobs'], 'blob')}, {size_in_words(one['size'])}"
        printing.print_line(f"{one['container']}: {blobs}, kept long enough")
    for orphan in found["orphans"]:
        printing.print_line(f"in no row: {orphan}")
    printing.print_line(found["summary"])
    printing.print_line("nothing was done: `droptune night --for-real` does it")
