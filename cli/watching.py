"""`droptune watch`: tells every change of a snapshot until it ends, by asking the app when that says there is one.

Reads only. Cut off, it can be begun again at any time: what happened meanwhile is told first.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from cli import printing, training
from cli.failures import CommandFailed, Exit
from cli.listening import POLL_SECONDS, Listener

if TYPE_CHECKING:
    from rich.status import Status

    from cli.client import AppClient

# A dropped file has its snapshot as soon as its event comes; after so long (s) something is wrong with the events.
UNSEEN_SECONDS = 60.0
# States of a dataset while the release of its candidate is under way.
_RELEASING = ("DEPLOYING", "EVALUATING", "SHIFTING")


def changes(client: AppClient, snapshot: str, wait: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """Each change of a snapshot, oldest first: `state`, `at`, `reason`; the last one has its end state.

    Changes of the dataset's row count while the snapshot is its candidate. While it trains, `training` says how far it
    is. `wait` returns when it is time to ask again. Raises CommandFailed.
    """
    known: set[tuple[str, str, str, bool]] = set()
    waiting, trained = "", TrainingChanges(client)
    while True:
        row = client.get(f"snapshots/{snapshot}")
        for change in sorted([*history(client, row), *trained.news(row)], key=lambda change: change["at"]):
            mark = (change["at"], change["state"], change["reason"], "training" in change)
            if mark not in known:
                known.add(mark)
                yield change
        if row["waiting"] and row["waiting"] != waiting and not has_ended(row):
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            yield {"state": row["state"], "at": now, "reason": "", "waiting": row["waiting"]}
        waiting = row["waiting"] or ""
        if has_ended(row):
            yield {"state": row["state"], "at": row["history"][-1]["at"], "reason": row["reason"], "ended": True}
            return
        wait()


class TrainingChanges:
    """How far a snapshot's training is, each time that its job has logged more; the last time once it has ended."""

    def __init__(self, client: AppClient) -> None:
        self._client = client
        self._read_at, self._is_over = "", False

    def news(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """The change, if there is one."""
        trains = row["state"] == "TRAINING"
        if self._is_over and not trains:
            return []
        found = training.progress(self._client, row)
        self._is_over = bool(row["job"]) and not trains
        if found is None or found["read_at"] in (None, self._read_at):
            return []
        self._read_at = found["read_at"]
        brief = {name: value for name, value in found.items() if name != "curves"}
        return [{"state": "TRAINING", "at": self._read_at, "reason": "", "training": brief}]


def history(client: AppClient, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The snapshot's history, and from REGISTERED on what its dataset went through since."""
    own: list[dict[str, Any]] = row["history"]
    registered = next((entry["at"] for entry in reversed(own) if entry["state"] == "REGISTERED"), None)
    if registered is None:
        return own
    try:
        dataset = client.get(f"datasets/{row['dataset']}")
    except CommandFailed as error:
        if error.status != Exit.NOT_FOUND:  # it has not begun with the release, or it was deleted
            raise
        return own
    return [*own, *_release(row["id"], [entry for entry in dataset["history"] if entry["at"] >= registered])]


def _release(snapshot: str, history: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What of a dataset's history is about a snapshot: from its deployment on, until its release has ended. How it
    ended is the snapshot's state then, whatever the dataset is since."""
    under_way = False
    for entry in history:
        about = snapshot in entry["reason"]
        if entry["state"] == "DEPLOYING" or entry["state"] not in _RELEASING:
            under_way = about and entry["state"] == "DEPLOYING"
        if under_way or about:
            ended = re.fullmatch(rf"{re.escape(snapshot)}: ([A-Z_]+): (.*)", entry["reason"], re.DOTALL)
            yield {**entry, "state": ended[1], "reason": ended[2]} if ended else entry


def has_ended(row: dict[str, Any]) -> bool:
    """Whether nothing more happens to a snapshot unless somebody acts."""
    return row["state"] in printing.GOOD | printing.BAD or bool(row["needs_attention"])


def follow(client: AppClient, snapshot: str, as_json: bool = False) -> Exit:
    """Prints the changes until the end; the exit status says whether that is a good one."""
    try:
        with Listener(client, snapshot) as listener, ChangePrinter(snapshot, as_json) as printer:
            for change in changes(client, snapshot, listener.wait):
                printer.print_change(change)
        row = client.get(f"snapshots/{snapshot}")
        is_printed = row["reason"] in printer.reasons
    except KeyboardInterrupt:
        if not as_json:
            printing.print_line(f"{snapshot} goes on in the app; `droptune watch {snapshot}` shows it again")
        return Exit.INTERRUPTED
    if not as_json:
        _print_end(row, is_printed)
    return Exit.DONE if row["state"] in printing.GOOD and not row["needs_attention"] else Exit.FAILED


def await_snapshot(client: AppClient, snapshot: str, path: str, sleep: Callable[[float], None] = time.sleep) -> None:
    """Returns once the app has a row for a file that was dropped. Raises CommandFailed when it refused the path, or
    when the row does not come."""
    deadline = time.monotonic() + UNSEEN_SECONDS
    while True:
        try:
            client.get(f"snapshots/{snapshot}")
            return
        except CommandFailed as failure:
            if failure.status != Exit.NOT_FOUND:
                raise
        refused = [one for one in client.get("snapshots").get("refused", []) if _is_shown_as(path, one["path"])]
        if refused:
            raise CommandFailed(Exit.FAILED, f"refused: {refused[0]['reason']}")
        if time.monotonic() > deadline:
            raise CommandFailed(
                Exit.UNREACHABLE,
                f"{path} is uploaded and the app has not seen it: check the event subscription of the storage account; "
                "the next sweep finds it in any case",
            )
        sleep(POLL_SECONDS / 2)


def _is_shown_as(path: str, shown: str) -> bool:
    """Whether a list shows this path so: it cuts long ones."""
    return shown == path or (shown.endswith("…") and path.startswith(shown[:-1]))


class ChangePrinter:
    """Prints changes, each on a line of its own; use as a context manager.

    `reasons` are those that were printed. How far a training is changes many times: a terminal shows it below, over and
    over; elsewhere it is a line for each tenth of the training.
    """

    def __init__(self, snapshot: str, as_json: bool = False) -> None:
        self._snapshot, self._as_json = snapshot, as_json
        self._status: Status | None = None
        self.reasons: set[str] = set()
        self._tenth = -1
        self._unprinted: dict[str, Any] | None = None

    def __enter__(self) -> Self:
        if not self._as_json and printing.console().is_terminal:
            self._status = printing.console().status("waiting for what happens next")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def print_change(self, change: dict[str, Any]) -> None:
        """The next one."""
        if self._as_json:
            printing.print_json_line({"snapshot": self._snapshot, **change})
        elif "training" in change:
            self._print_training(change)
        elif not change.get("ended"):
            if self._unprinted:
                _print_line(self._unprinted["at"], "", training.line(self._unprinted["training"]))
            self._unprinted = None
            self.reasons.add(change["reason"])
            waits_for = change.get("waiting")
            _print_line(change["at"], "" if waits_for else change["state"], _text_of(change))
            if self._status is not None:
                self._status.update("waiting for what happens next")

    def _print_training(self, change: dict[str, Any]) -> None:
        text, share = training.line(change["training"]), change["training"]["share"]
        self._unprinted = change
        if self._status is not None:
            self._status.update(text)
        elif share is not None and (tenth := int(share * 10)) > self._tenth:
            self._tenth, self._unprinted = tenth, None
            _print_line(change["at"], "", text)


def _text_of(change: dict[str, Any]) -> str:
    return f"waits: {change['waiting']}" if change.get("waiting") else change["reason"]


def _print_line(at: str, state: str, text: str) -> None:
    from rich.text import Text

    name = printing.state(state)
    name.pad_right(max(1, 16 - len(state)))
    printing.print_line(Text(f"{at[11:19]}  ", style="dim"), name, Text(printing.one_line(text), style="dim"))


def _print_end(row: dict[str, Any], is_printed: bool) -> None:
    """What became of a snapshot, and what to do next; the reason only where no line has said it."""
    from rich.text import Text

    printing.print_line("")
    reason = f": {row['reason']}" if row["reason"] and not is_printed else ""
    printing.print_line(Text(row["id"], style="bold"), " is ", printing.state(row["state"]), reason)
    if row["needs_attention"]:
        fault = row["fault"] or {}
        said = f"{fault.get('step', 'a step')} failed {fault.get('count', 0)} times: {fault.get('message', '')}"
        printing.print_line(said)
        printing.print_line(f"next: mend the cause, then `droptune retry {row['id']}`")
    elif hint := next_step(row):
        printing.print_line(f"next: {hint}")


def next_step(row: dict[str, Any]) -> str:
    """What people do with a snapshot that ended so, or nothing."""
    match row["state"]:
        case "LIVE" | "ASLEEP":
            return f"droptune ask {row['dataset']}"
        case "REJECTED" if row["blocked"]:
            return f"droptune report {row['id']}, or droptune override {row['id']} to take it all the same"
        case "REJECTED" if row["report"]:
            return f"droptune report {row['id']}"
        case "DUPLICATE":
            return f"droptune show {row['duplicate_of']}, or droptune override {row['id']} to train it all the same"
        case "WITHHELD":
            return f"droptune show {row['id']} has the numbers; droptune override {row['id']} releases it all the same"
        case "CANCELED":
            return f"droptune retry {row['id']} takes it all the same"
        case "TRAINING_FAILED" | "REGISTER_FAILED" | "DEPLOY_FAILED":
            return f"droptune retry {row['id']}, once the cause is mended"
    return f"droptune retry {row['id']}, once the cause is mended" if row["needs_attention"] else ""
