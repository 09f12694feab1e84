"""What an installation costs in a month: `python -m scripts.costs PRICES.json` (`--example` shows the form).

Quantities are facts of the templates and the app; prices are the reader's. The table without prices stands in
docs/deploy.md, where `python -m scripts.docs` writes it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HOURS = 730


@dataclass(frozen=True)
class CostItem:
    """One thing that is paid: its unit, and how much of it an idle and a busy month take."""

    name: str
    key: str
    unit: str
    idle: float
    busy: float


# Busy: 20 trainings of two hours, one dataset served all day with an hour's rollout each day, 100,000 questions.
ITEMS = (
    CostItem("a GPU machine that serves, while an endpoint exists", "serving_hour", "hour", 0, HOURS),
    CostItem("a second one, during a rollout and `ROLLBACK_KEEP_HOURS` after it", "serving_hour", "hour", 0, 30 * 25),
    CostItem("the cluster, while something trains", "training_hour", "hour", 0, 40),
    CostItem("the app, memory in use", "function_gb_second", "GB-second", 60_000, 900_000),
    CostItem("the app, calls", "function_million_calls", "million", 0.1, 0.6),
    CostItem("always-ready instances, if chosen", "always_ready_gb_hour", "GB-hour", 0, 0),
    CostItem("files, models and the ledger", "storage_gb", "GB", 1, 100),
    CostItem("writes and listings", "storage_10k_operations", "10,000", 30, 200),
    CostItem("logs", "logs_gb", "GB", 0.5, 5),
    CostItem("the workspace's container registry", "registry_day", "day", 30, 30),
    CostItem("events", "events_million", "million", 0, 0.1),
    CostItem("key vault, reads", "vault_10k_operations", "10,000", 0.1, 0.5),
    CostItem("private endpoints, if chosen (5)", "private_endpoint_hour", "hour", 0, 0),
)
# Round numbers that are nobody's prices.
EXAMPLE = {item.key: 1.0 for item in ITEMS} | {"serving_hour": 4.0, "training_hour": 4.0, "function_gb_second": 0.00002}


def table(prices: Mapping[str, float] | None = None) -> str:
    """The table as Markdown; with prices, what each item and all of them cost."""
    return "\n".join(_rows(prices))


def _rows(prices: Mapping[str, float] | None) -> Iterator[str]:
    if prices is None:
        yield "| what | price of | idle month | busy month |"
        yield "|---|---|---|---|"
        for item in ITEMS:
            yield f"| {item.name} | `{item.key}`, a {item.unit} | {item.idle:g} | {item.busy:g} |"
        return
    yield "| what | idle month | busy month |"
    yield "|---|---|---|"
    for item in ITEMS:
        price = prices[item.key]
        yield f"| {item.name} | {item.idle * price:,.2f} | {item.busy * price:,.2f} |"
    idle, busy = (sum(getattr(item, when) * prices[item.key] for item in ITEMS) for when in ("idle", "busy"))
    yield f"| **in all** | **{idle:,.2f}** | **{busy:,.2f}** |"


def main(arguments: list[str]) -> int:
    """Print the table for somebody's prices."""
    if arguments == ["--example"]:
        print(json.dumps(EXAMPLE, indent=1))
        return 0
    if len(arguments) != 1:
        print("usage: python -m scripts.costs PRICES.json | --example", file=sys.stderr)
        return 2
    prices = json.loads(Path(arguments[0]).read_text("utf-8"))
    keys = {item.key for item in ITEMS}
    if keys != set(prices):
        missing, unknown = sorted(keys - set(prices)), sorted(set(prices) - keys)
        print(f"{arguments[0]}: missing {missing}, unknown {unknown}", file=sys.stderr)
        return 2
    print(table(prices))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
