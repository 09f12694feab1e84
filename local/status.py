"""What `python -m local status` shows: each part of the folder's cloud, and the functions of the app."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from local import azurite
from local.parts import healthy
from local.record import CloudRecord, PartRecord, read_record


def show(folder: Path) -> int:
    """Print it; 0 if all is well, 1 if something does not run or answer."""
    console = Console()
    record = read_record(folder)
    if record is None:
        console.print("The local cloud does not run. Start it with: make up")
        return 1
    if record.supervisor.process is None:
        console.print("The local cloud was killed. Clear up with `make down`, or start it anew with `make up`.")
    health = {name: _health(name, record) for name in record.parts}
    # Paths apart from the table, which would cut them off to fit the width.
    console.print(f"logs in {folder / 'logs'}\n", soft_wrap=True, highlight=False, markup=False)
    console.print(_table(record.parts, health))
    if record.supervisor.process is not None and record.dead:
        console.print(f"\n{' and '.join(record.dead)} ended: `make up` starts it again")
    _show_app(console, record, health)
    return 0 if set(health.values()) == {"ok"} else 1


def _health(name: str, record: CloudRecord) -> str:
    if record.parts[name].process.process is None:
        return "dead"
    answers = {
        "azurite": lambda: azurite.answers(record.storage_connection_string),
        "eventgrid": lambda: healthy(record.eventgrid_url),
        "azureml": lambda: healthy(record.azureml_url, Path(record.azureml_ca)),
        "host": lambda: healthy(record.app_url),
    }
    return "ok" if answers[name]() else "no answer"


def _table(parts: Mapping[str, PartRecord], health: Mapping[str, str]) -> Table:
    table = Table("part", "pid", "port", "up for", "health", "log", box=None)
    for name, part in parts.items():
        alive = part.process.process is not None
        table.add_row(
            name,
            str(part.process.pid),
            str(part.port),
            _duration(time.time() - part.process.started) if alive else "",
            health[name],
            Path(part.log).name,
        )
    return table


def _show_app(console: Console, record: CloudRecord, health: Mapping[str, str]) -> None:
    console.print(f"\napp        {record.app_url}/api   (its key: app_key in cloud.json)", soft_wrap=True)
    if health.get("host") == "ok":
        state = httpx.get(f"{record.app_url}/admin/host/status", timeout=5, trust_env=False).json()
        console.print(f"functions  {', '.join(state['functions'])}", soft_wrap=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
