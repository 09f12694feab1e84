"""`droptune costs`, and the line that says what a training will cost: all comes from the app's routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli import printing
from cli.failures import CommandFailed
from shared.operations.times import about_hours, about_money

if TYPE_CHECKING:
    from cli.client import AppClient
    from shared.validation import ValidationReport

_COLUMNS = ("training h", "training", "serving h", "serving", "in all")


def costs(client: AppClient, dataset: str, as_json: bool, **asked: str) -> None:
    """What each dataset cost in a month, or each snapshot of one; then what is not in it."""
    found = client.get(f"costs/{dataset}" if dataset else "costs", **asked)
    if as_json:
        printing.print_json(found)
        return
    lines, currency = found["snapshots"] if dataset else found["costs"], found["currency"]
    if lines:
        rows = [_row(line) for line in lines]
        if len(lines) > 1:
            rows.append(_row(found["total"]))
        printing.print_table(("snapshot" if dataset else "dataset", *_COLUMNS), rows)
    else:
        printing.print_line(f"nothing cost anything in {found['month']}")
    printing.print_line(
        f"{found['month']}: {printing.money(found['total']['spent'], currency)} as far as prices are known"
    )
    if found.get("asleep_hours"):
        saved = printing.money(found["saved"], currency)
        printing.print_line(f"asleep for {found['asleep_hours']:g} h, which saved {saved}")
    for text in found["unknown"]:
        printing.print_line(f"not known: {text}; {found['total']['unpriced_hours']:g} h have no price")
    printing.print_line(f"not counted: {'; '.join(found['not_counted'])}")
    printing.print_next(found)


def nights(client: AppClient, as_json: bool, **asked: str) -> None:
    """The nightly rounds, newest first, with the money that each saved."""
    found = client.get("nights", **asked)
    if as_json:
        printing.print_json(found)
        return
    rows = [
        (
            night["night"],
            f"{night['asleep_hours']:g}",
            printing.money(night["saved"], night["currency"]),
            night["summary"],
        )
        for night in found["nights"]
    ]
    if rows:
        printing.print_table(("night", "asleep h", "saved", "what was found"), rows)
    else:
        printing.print_line("there was no nightly round yet")
    printing.print_next(found)


def cost_beforehand(client: AppClient, report: ValidationReport) -> str:
    """What training on the rows of a report will take and cost by the app's settings; empty where it does not say."""
    rows = report.splits.get("train", 0)
    tokens = report.statistics.estimated_tokens.total / max(1, report.good_rows + report.duplicate_rows)
    if not rows or not tokens:
        return ""
    try:
        found = client.get("estimate", rows=str(rows), tokens_per_row=f"{tokens:.1f}")
    except CommandFailed:  # an app of an older version, or one that is busy: it is no reason not to drop
        return ""
    return in_words(found)


def in_words(found: dict[str, Any]) -> str:
    """An estimate beforehand in one line; what is not known is said."""
    missing = f"; the time or price is not known: {'; '.join(found['unknown'])}" if found["unknown"] else ""
    return f"training will go through {brief(found)}{missing}"


def brief(found: dict[str, Any]) -> str:
    """What is known of an estimate: tokens, time and money."""
    parts = [f"{found['tokens']:,} tokens"]
    if (hours := found.get("hours")) is not None:
        size = found["size"].removeprefix("Standard_")
        parts.append(f"{about_hours(hours)} of {found['machines']} x {size} ({found['basis']} speed)")
    if (cost := found.get("cost")) is not None:
        parts.append(about_money(cost, found.get("currency", "")))
    return ", ".join(parts)


def _row(line: dict[str, Any]) -> tuple[str, ...]:
    return (
        line["name"],
        f"{line['training_hours']:g}",
        _spent(line["training"], line["training_hours"], line),
        f"{line['endpoint_hours']:g}",
        _spent(line["endpoint"], line["endpoint_hours"], line),
        _spent(line["spent"], line["training_hours"] + line["endpoint_hours"], line),
    )


def _spent(amount: float, hours: float, line: dict[str, Any]) -> str:
    """What so many hours cost; less than a cent is something all the same, unless the hours have no price."""
    return "<0.01" if hours and not amount and not line.get("unpriced_hours") else printing.money(amount)
