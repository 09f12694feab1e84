"""`droptune ls`, `show` and `report`: what there is, as tables; everything comes from the app's status routes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from cli import costing, printing, training, watching
from cli.watching import next_step
from shared.operations.times import size_in_words

if TYPE_CHECKING:
    from cli.client import AppClient

_NOTHING = "nothing was dropped yet: `droptune drop FILE`"


def list_snapshots(client: AppClient, dataset: str, as_json: bool, **asked: str) -> None:
    """The newest snapshots, of one dataset if it is named; then uploads that were refused."""
    found = client.get("snapshots", dataset=dataset, **asked)
    if as_json:
        printing.print_json(found)
        return
    rows = [
        (row["id"], printing.state(row["state"]), printing.ago(row.get("uploaded_at")), _brief(row))
        for row in found["snapshots"]
    ]
    if rows:
        printing.print_table(("snapshot", "state", "dropped", "why"), rows)
    else:
        printing.print_line(_NOTHING if not any(asked.values()) else "no snapshot is like that")
    printing.print_next(found)
    for one in found.get("imports", []):
        printing.print_line(f"import {one['id']} of {one['source']}: {one['state']}, {printing.ago(one['asked_at'])}")
    for one in found.get("refused", []):
        printing.print_line(f"refused {printing.ago(one['at'])}: {one['reason']}")


def list_refusals(client: AppClient, dataset: str, as_json: bool, **asked: str) -> None:
    """The uploads that make no snapshot, of one dataset if it is named."""
    found = client.get("refusals", dataset=dataset, **asked)
    if as_json:
        printing.print_json(found)
        return
    for one in found["refused"]:
        printing.print_line(f"{printing.ago(one['at'])}: {one['reason']}")
    if not found["refused"]:
        printing.print_line("no upload was refused")
    printing.print_next(found)


def list_datasets(client: AppClient, as_json: bool, **asked: str) -> None:
    """What is served, on how many machines and for how much, and until when."""
    found = client.get("datasets", **asked)
    if as_json:
        printing.print_json(found)
        return
    currency, total = found["currency"], found["total"]
    rows = [
        (
            row["name"],
            printing.state("NEEDS_ATTENTION" if row["needs_attention"] else row["state"]),
            row["live"] or "-",
            _machines(row["machines"]),
            printing.money(row["price_per_hour"]),
            printing.money(row["spent_this_month"]),
            printing.ago(row["last_asked_at"]),
            printing.ago(row["sleeps_after"]),
        )
        for row in found["datasets"]
    ]
    if rows:
        columns = ("dataset", "state", "live", "machines", "an hour", found["month"], "last asked", "sleeps")
        printing.print_table(columns, rows)
        hour, month = (printing.money(total[name], currency) for name in ("price_per_hour", "spent_this_month"))
        counted = f"{printing.count(total['datasets'], 'dataset')}, {printing.count(total['machines'], 'machine')}"
        printing.print_line(f"{counted}: {hour} an hour, {month} in {found['month']}")
    else:
        printing.print_line(_NOTHING if not any(asked.values()) else "no dataset is like that")
    printing.print_next(found)


def _machines(machines: dict[str, Any]) -> str:
    return f"{machines['count']} x {machines['size'].removeprefix('Standard_')}" if machines["count"] else "-"


def show(client: AppClient, snapshot: str, as_json: bool) -> None:
    """Everything about one snapshot: what it is, how it went, and what to do next."""
    row = client.get(f"snapshots/{snapshot}")
    if as_json:
        printing.print_json(row)
        return
    printing.print_line(row["id"], "  ", printing.state(row["state"]), f"  {row['reason']}")
    found = training.progress(client, row)
    history = watching.history(client, row)
    for name, text in [*_facts(row), *([("training", training.line(found))] if found else [])]:
        printing.print_line(f"{name:<12} {text}")
    printing.print_line("")
    printing.print_table(
        ("at", "state", "why"),
        [(entry["at"][:19].replace("T", " "), printing.state(entry["state"]), entry["reason"]) for entry in history],
    )
    if hint := next_step(row):
        printing.print_line("")
        printing.print_line(f"next: {hint}")


def report(client: AppClient, snapshot: str, as_json: bool) -> bool:
    """The validation report, as `droptune check` prints it. Whether the snapshot was accepted."""
    from cli.console import write
    from shared.validation import ValidationReport

    found = client.get(f"snapshots/{snapshot}/report")
    if as_json:
        printing.print_json(found)
        return bool(found["verdict"] == "accepted")
    page = ValidationReport.model_validate(found)
    printing.print_line(f"report of {snapshot}")
    write(page, sys.stdout)
    return page.accepted


def logs(client: AppClient, snapshot: str, as_json: bool) -> None:
    """The ends of the logs that were kept, each under the name of what wrote it."""
    found = client.get(f"snapshots/{snapshot}/logs")
    if as_json:
        printing.print_json(found)
        return
    for name, text in found.items():
        printing.print_line(f"== {name} ==")
        for line in text.splitlines():
            printing.print_line(line)
    if not found:
        printing.print_line("no log was kept: nothing of this snapshot failed in training or deployment")


def _brief(row: dict[str, Any]) -> str:
    text = row.get("waiting") or row["reason"] or ""
    return f"needs attention: {text}" if row["needs_attention"] else text


def _facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    """What a snapshot is made of, line by line; nothing of what is not known yet."""
    files = ", ".join(f"{file['path']} ({size_in_words(file['bytes'])})" for file in row["files"][:5])
    more = f" and {len(row['files']) - 5} more" if len(row["files"]) > 5 else ""
    rows = ", ".join(f"{count} {split}" for split, count in row["rows"].items())
    model, job, deployment = row["base_model"], row["job"], row["deployment"]
    facts = [
        ("dropped", f"{printing.ago(row['uploaded_at'])}: {files}{more}"),
        ("rows", rows),
        ("note", row["note"] or ""),
        ("estimate", costing.brief(row["estimate"]) if row["estimate"] else ""),
        ("base model", f"{model['name']} {model['version']}" if model else ""),
        ("job", f"{job['name']} {job['status']}" if job else ""),
        ("studio", job["studio_url"] if job else ""),
        ("model", f"{row['model']['name']} {row['model']['version']}" if row["model"] else ""),
        (
            "deployment",
            f"{deployment['endpoint']}/{deployment['name']}, {deployment['traffic']} %" if deployment else "",
        ),
        ("waits for", row["waiting"] or ""),
        ("blocked by", ", ".join(row["blocked"])),
        ("passed over", ", ".join(row["passed_over"])),
    ]
    return [(name, text) for name, text in facts if text]
