"""`watch` waits for the app's events, and polls where there are none for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli import watching
from cli.client import AppClient
from cli.listening import Listener
from cli.target import find_target
from shared.ledger.rows import HistoryEntry
from shared.ledger.states import SnapshotState as S
from shared.operations import event_feed
from tests.builders import SNAPSHOT, a_snapshot
from tests.cli.test_droptune import droptune
from tests.fakes import World


def _moves(world: World, state: S) -> None:
    entry = HistoryEntry(state=state, at=world.clock() + 1)
    world.services.ledger.change(
        f"snapshot/{SNAPSHOT}", lambda row: row.but(state=state, history=(*row.history, entry))
    )


def _never(_: float) -> None:
    raise AssertionError("polled although events come")


def test_a_change_is_heard_of_without_polling(an_app: World) -> None:
    an_app.services.ledger.create(a_snapshot())
    states = []
    with AppClient(find_target()) as client, Listener(client, SNAPSHOT, _never) as listener:
        for change in watching.changes(client, SNAPSHOT, listener.wait):
            states.append(change["state"])
            if len(states) == 1:
                listener.wait()  # the present
                _moves(an_app, S.REJECTED)
    assert states == ["RECEIVED", "REJECTED", "REJECTED"]


def test_a_stream_that_has_ended_is_taken_up_where_it_was(an_app: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from functions import events_requested

    monkeypatch.setattr(events_requested, "LONGEST", 0.2)
    an_app.services.ledger.create(a_snapshot())
    pauses: list[float] = []
    with AppClient(find_target()) as client, Listener(client, SNAPSHOT, pauses.append) as listener:
        while len(pauses) < 3:
            listener.wait()
        feed = event_feed.feed(an_app.services)
        assert listener._last_id.split("-")[1] == feed._name


@pytest.mark.parametrize("status", ["full", "unknown"])
def test_where_the_app_refuses_events_it_is_asked_again_and_again(
    an_app: World, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    an_app.services.ledger.create(a_snapshot())
    event_feed.feed(an_app.services).most = 0
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            _moves(an_app, S.REJECTED)

    with AppClient(find_target()) as client, Listener(client, SNAPSHOT, sleep) as listener:
        if status == "unknown":
            monkeypatch.setattr(client.http, "stream", lambda *_, **more: client_stream(client, more))
        told = list(watching.changes(client, SNAPSHOT, listener.wait))
    assert told[-1]["ended"] is True
    assert len(pauses) == 3


def client_stream(client: AppClient, more: Any) -> Any:
    """The stream of an app that is too old to have events."""
    import httpx

    return httpx.Client.stream(client.http, "GET", "no-such-route", **more)


def test_json_is_a_line_for_each_change_with_the_snapshot_it_is_about(an_app: World) -> None:
    an_app.services.ledger.create(a_snapshot(S.REJECTED))
    lines = [json.loads(line) for line in droptune("watch", SNAPSHOT, "--json").stdout.splitlines()]
    assert [(line["snapshot"], line["state"]) for line in lines] == [(SNAPSHOT, "REJECTED")] * 2


def test_a_training_is_a_line_for_each_tenth_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    def change(share: float) -> dict[str, Any]:
        known = {"step": round(share * 100), "steps": 100, "share": share, "epoch": share, "epochs": 1.0, "why": None}
        more = {"latest": {"loss": 1.0}, "losses": [2.0, 1.0], "tokens_per_second": None, "seconds_left": 60.0}
        return {
            "state": "TRAINING",
            "at": "2026-11-01T09:31:02.118Z",
            "reason": "",
            "training": {**known, **more, "job_status": "Running"},
        }

    with watching.ChangePrinter(SNAPSHOT) as printer:
        for percent in range(1, 100):
            printer.print_change(change(percent / 100))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("09:31:02")
    assert "step 90 of 100 (90%), loss 1 █▁, about 1 min 0 s left" in lines[-1]
