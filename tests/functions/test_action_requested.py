"""Actions over HTTP: who asked is kept, and every outcome has its status."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.requests import Request
from starlette.responses import Response

from functions import action_requested as actions
from shared.errors import ServiceBusy
from shared.ledger.pause import DatasetPause
from shared.ledger.states import DatasetState as D
from shared.ledger.states import SnapshotState as S
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_fault, a_release, a_snapshot
from tests.fakes import START, World

Make = Callable[..., Request]
OF_SNAPSHOT = (actions.retry_snapshot, actions.override_snapshot, actions.cancel_snapshot)


def _route(act: Any, snapshot: str = SNAPSHOT, dataset: str = DATASET) -> dict[str, str]:
    """What the platform gives of the address."""
    return {"id": snapshot} if act in OF_SNAPSHOT else {"name": dataset}


def _delete(request: Request) -> Response:
    """The deletion, confirmed."""
    scope = {**request.scope, "query_string": urlencode({"confirm": request.path_params["name"]}).encode()}
    return actions.delete_dataset(Request(scope))


DONE = [
    (actions.retry_snapshot, a_snapshot(S.TRAINING_FAILED)),
    (actions.override_snapshot, a_snapshot(S.REJECTED)),
    (actions.cancel_snapshot, a_snapshot(S.TRAINING)),
    (actions.wake_dataset, a_dataset(D.ASLEEP)),
    (actions.sleep_dataset, a_dataset(D.LIVE)),
    (_delete, a_dataset(D.LIVE)),
    (actions.pause_dataset, a_dataset(D.LIVE)),
    (actions.unpause_dataset, a_dataset(D.LIVE, pause=DatasetPause(by="ada", at=START))),
    (actions.roll_back_dataset, a_dataset(D.LIVE, previous=a_release(NEWER), kept_until=2 * START)),
    (actions.resume_dataset, a_dataset(D.DEPLOYING, attention=True, fault=a_fault())),
]
NOT_NOW = [
    (actions.retry_snapshot, a_snapshot(S.TRAINING)),
    (actions.override_snapshot, a_snapshot(S.TRAINING)),
    (actions.cancel_snapshot, a_snapshot(S.REJECTED)),
    (actions.wake_dataset, a_dataset(D.DEPLOYING)),
    (actions.sleep_dataset, a_dataset(D.EMPTY)),
    (actions.roll_back_dataset, a_dataset(D.LIVE)),
]
EVERY = [act for act, _ in DONE]


def _error(answer: Response) -> dict[str, Any]:
    assert answer.media_type == "application/json"
    error: dict[str, Any] = json.loads(bytes(answer.body))["error"]
    assert set(error) == {"message", "type", "code", "param"}
    return error


@pytest.mark.parametrize(("act", "row"), DONE)
def test_what_can_be_done_is_taken_and_enqueued(world: World, request_of: Make, act: Any, row: Any) -> None:
    world.services.ledger.create(row)
    world.storage.messages.clear()
    answer = act(request_of(route=_route(act)))
    assert answer.status_code == 202
    assert json.loads(bytes(answer.body))["message"]
    assert [message for _, _, message in world.storage.messages] == [f"{row.key}?"]


@pytest.mark.parametrize(("act", "row"), NOT_NOW)
def test_what_cannot_be_done_now_is_409_with_the_state_that_is_in_the_way(
    world: World, request_of: Make, act: Any, row: Any
) -> None:
    world.services.ledger.create(row)
    answer = act(request_of(route=_route(act)))
    assert (answer.status_code, _error(answer)["code"]) == (409, "not_now")
    assert _error(answer)["type"] == "invalid_request_error"
    assert row.state in _error(answer)["message"] or row.state == D.EMPTY


@pytest.mark.parametrize("act", EVERY)
@pytest.mark.parametrize("name", ["nobody-20260101000000-01234567", "nobody", "../x", "ü", "x" * 999])
def test_what_is_not_there_is_404(world: World, request_of: Make, act: Any, name: str) -> None:
    answer = act(request_of(route=_route(act, name, name)))
    assert (answer.status_code, _error(answer)["code"]) == (404, "not_found")
    assert len(_error(answer)["message"]) < 300
    assert not world.storage.blobs


@pytest.mark.parametrize("act", EVERY)
def test_storage_that_is_busy_is_503_and_not_the_callers_fault(
    world: World, request_of: Make, act: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any) -> Any:
        raise ServiceBusy("storage is busy")

    monkeypatch.setattr(world.storage, "read", busy)
    answer = act(request_of(route=_route(act)))
    assert (answer.status_code, _error(answer)["type"]) == (503, "server_error")
    assert answer.headers["Retry-After"] == "10"


@pytest.mark.parametrize(
    ("headers", "params", "by"),
    [
        ({"x-ms-client-principal-name": "ann@example.net"}, {"by": "bob"}, "ann@example.net"),
        ({}, {"by": "bob"}, "bob"),
        ({}, {}, "http"),
        ({}, {"by": "a\nb\x1b[31m" + "c" * 200}, "ab[31m" + "c" * 74),
    ],
)
def test_who_asked_is_kept_printable_and_short(
    world: World, request_of: Make, headers: dict[str, str], params: dict[str, str], by: str
) -> None:
    world.services.ledger.create(a_dataset(D.ASLEEP))
    actions.wake_dataset(request_of(route=_route(actions.wake_dataset), headers=headers, params=params))
    assert world.services.ledger.read(f"dataset/{DATASET}").row.requested.by == by


def test_an_override_names_what_it_excuses(world: World, request_of: Make) -> None:
    world.services.ledger.create(a_snapshot(S.REJECTED, blocked=("bad_rows",)))
    actions.override_snapshot(request_of(route=_route(actions.override_snapshot), params={"what": "quota, daily_runs"}))
    assert world.services.ledger.read(f"snapshot/{SNAPSHOT}").row.overrides == ("daily_runs", "quota")


def test_an_override_of_something_unknown_is_400_with_the_names_that_are_known(world: World, request_of: Make) -> None:
    world.services.ledger.create(a_snapshot(S.REJECTED))
    answer = actions.override_snapshot(request_of(route=_route(actions.override_snapshot), params={"what": "money"}))
    assert (answer.status_code, _error(answer)["code"]) == (400, "invalid_request")
    assert "concurrent_runs" in _error(answer)["message"]
    assert world.services.ledger.read(f"snapshot/{SNAPSHOT}").row.state == S.REJECTED


@pytest.mark.parametrize("confirm", [{}, {"confirm": ""}, {"confirm": "another"}, {"confirm": DATASET.upper()}])
def test_a_dataset_is_deleted_only_if_its_name_is_repeated(
    world: World, request_of: Make, confirm: dict[str, str]
) -> None:
    world.services.ledger.create(a_dataset(D.LIVE))
    answer = actions.delete_dataset(request_of(method="DELETE", route=_route(actions.delete_dataset), params=confirm))
    assert (answer.status_code, _error(answer)["code"]) == (400, "confirmation_needed")
    assert "?confirm=" in _error(answer)["message"]
    assert world.services.ledger.read(f"dataset/{DATASET}").row.state == D.LIVE


def test_what_was_dropped_is_deleted_only_if_it_is_asked_for(world: World, request_of: Make) -> None:
    world.services.ledger.create(a_dataset(D.LIVE))
    actions.delete_dataset(
        request_of(route=_route(actions.delete_dataset), params={"confirm": DATASET, "files": "true", "by": "ada"})
    )
    deletion = world.services.ledger.read(f"dataset/{DATASET}").row.deletion
    assert (deletion.by, deletion.with_files) == ("ada", True)
