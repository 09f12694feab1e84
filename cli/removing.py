"""`droptune rm`: a dataset is deleted, after it was shown what goes, what stays and what it costs now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from cli import printing
from cli.failures import CommandFailed, Exit

if TYPE_CHECKING:
    from cli.client import AppClient


def remove(client: AppClient, name: str, *, files: bool, yes: bool, by: str, as_json: bool) -> Exit:
    """Shows the plan, asks, and has the dataset deleted; with `yes` nobody is asked. Raises CommandFailed."""
    more = {"files": "true"} if files else {}
    if not yes:
        plan = client.get(f"datasets/{name}/deletion", **more)
        if as_json:
            printing.print_json(plan)
        else:
            _print_plan(plan)
        if as_json or not _agreed(name):
            return Exit.FAILED
    found: Any = client.send("DELETE", f"datasets/{name}", confirm=name, by=by, **more)
    printing.print_result(found, f"{found['message']}; `droptune ls --datasets` shows it until it is gone", as_json)
    return Exit.DONE


def _print_plan(plan: dict[str, Any]) -> None:
    price = plan["price_per_hour"]
    cost = "an unknown price (PRICES lacks it)" if price is None else f"{price:g} {plan['currency']}".rstrip()
    printing.print_line(
        f"{plan['dataset']} is {plan['state']}: {printing.count(plan['machines'], 'machine')}, {cost} an hour"
    )
    for title, texts in (("goes", plan["goes"]), ("stays", plan["stays"])):
        for text in texts:
            printing.print_line(f"  {title:5}  {text}")


def _agreed(name: str) -> bool:
    """Whether the person at the terminal wants it. Raises CommandFailed where nobody can be asked."""
    if not sys.stdin.isatty():
        raise CommandFailed(Exit.USAGE, f"nothing was deleted: `droptune rm {name} --yes` deletes without asking")
    return input(f"Delete {name}? [y/N] ").strip().lower() in ("y", "yes")
