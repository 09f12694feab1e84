"""Status over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from functions import status_requested as status
from shared import naming, runtime
from shared.errors import DENIED, AccessDenied, ServiceBusy
from shared.ledger.release import GateMetrics, Judgement
from shared.ledger.rows import Fault
from shared.ledger.states import SnapshotState as S
from shared.operations import documents, sweep
from shared.snapshots import intake
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_release, a_snapshot, a_trained_snapshot
from tests.fakes import World

Make = Callable[..., Request]


def _body(answer: Response, status: int = 200) -> Any:
    assert (answer.status_code, answer.media_type) == (status, "application/json")
    return json.loads(bytes(answer.body))


def test_snapshots_are_listed_newest_first(world: World, request_of: Make) -> None:
    for row in (a_snapshot(), a_snapshot(id=NEWER), a_snapshot(id="aa-20260101000000-01234567", dataset="aa")):
        world.services.ledger.create(row)
    found = _body(status.list_snapshots(request_of(method="GET")))["snapshots"]
    assert [row["id"] for row in found] == [NEWER, SNAPSHOT, "aa-20260101000000-01234567"]
    found = _body(status.list_snapshots(request_of(method="GET", params={"dataset": "aa"})))["snapshots"]
    assert [row["dataset"] for row in found] == ["aa"]


def test_nothing_dropped_is_an_empty_list(world: World, request_of: Make) -> None:
    nothing: dict[str, Any] = {"snapshots": [], "next": None, "refused": [], "damaged": [], "not_allowed": []}
    assert _body(status.list_snapshots(request_of(method="GET"))) == nothing


def test_a_refused_upload_is_listed_with_the_reason_and_the_right_form(world: World, request_of: Make) -> None:
    """Else somebody who misspelt a name waits for ever for something to happen."""
    for path in ("Support-Bot.jsonl", "notes.txt"):
        world.storage.put("snapshots", path, b"x")
        assert intake.receive(world.services, path) is None
        world.clock.now += 60
    refused = _body(status.list_snapshots(request_of(method="GET")))["refused"]
    assert [upload["path"] for upload in refused] == ["notes.txt", "Support-Bot.jsonl"]
    assert all("<dataset>.jsonl" in upload["reason"] and upload["at"].endswith("Z") for upload in refused)
    of_one = _body(status.list_snapshots(request_of(method="GET", params={"dataset": DATASET})))["refused"]
    assert [upload["path"] for upload in of_one] == ["Support-Bot.jsonl"], "those that may have been meant for it"


def test_refused_uploads_are_listed_in_pages(world: World, request_of: Make) -> None:
    for n in range(5):
        world.storage.put("snapshots", f"Support-Bot-{n % 2}.txt", str(n).encode())
        intake.receive(world.services, f"Support-Bot-{n % 2}.txt")
        world.clock.now += 60
    found: list[str] = []
    before: Any = ""
    for _ in range(3):
        page = _body(status.list_refusals(request_of(method="GET", params={"limit": "2", "before": before})))
        found += [upload["path"] for upload in page["refused"]]
        before = page["next"]
    assert (found, before) == ([f"Support-Bot-{n % 2}.txt" for n in (4, 3, 2, 1, 0)], None)
    of_one = _body(status.list_refusals(request_of(method="GET", params={"dataset": "support-bot-1"})))
    assert (len(of_one["refused"]), of_one["total"]) == (2, 2)
    wrong = _body(status.list_refusals(request_of(method="GET", params={"dataset": "A"})), 400)
    assert wrong["error"]["message"].startswith("dataset:")


@pytest.mark.parametrize("name", ["A", "a/b", "../x", "x" * 42, "ü"])
def test_a_name_that_no_dataset_can_have_is_400(world: World, request_of: Make, name: str) -> None:
    answer = _body(status.list_snapshots(request_of(method="GET", params={"dataset": name})), 400)
    assert answer["error"]["code"] == "invalid_request"
    assert name not in answer["error"]["message"] or len(name) == 1


def test_one_snapshot_and_one_dataset_are_shown(world: World, request_of: Make) -> None:
    world.services.ledger.create(a_snapshot())
    world.services.ledger.create(a_dataset())
    assert _body(status.get_snapshot(request_of(method="GET", route={"id": SNAPSHOT})))["id"] == SNAPSHOT
    assert _body(status.get_dataset(request_of(method="GET", route={"name": DATASET})))["name"] == DATASET


def test_datasets_are_listed_in_pages_that_lead_to_each_other(world: World, request_of: Make) -> None:
    for name in ("aa", "bb", "cc"):
        world.services.ledger.create(a_dataset(name=name))
    first = _body(status.list_datasets(request_of(method="GET", params={"limit": "2"})))
    assert [row["name"] for row in first["datasets"]] == ["aa", "bb"]
    assert first["total"]["datasets"] == 3
    last = _body(status.list_datasets(request_of(method="GET", params={"limit": "2", "before": first["next"]})))
    assert ([row["name"] for row in last["datasets"]], last["next"]) == (["cc"], None)
    wrong = _body(status.list_datasets(request_of(method="GET", params={"state": "LVE"})), 400)
    assert "LIVE" in wrong["error"]["message"]


@pytest.mark.parametrize("name", ["nobody-20260101000000-01234567", "nobody", "../x", "<script>"])
def test_what_is_not_there_is_404_and_says_how_to_find_what_is(world: World, request_of: Make, name: str) -> None:
    for act in (status.get_snapshot, status.get_dataset):
        answer = _body(act(request_of(method="GET", route={"id": name, "name": name})), 404)
        assert answer["error"]["code"] == "not_found"
        assert re.search("GET /api/(snapshots|datasets) lists them", answer["error"]["message"])
        assert name not in answer["error"]["message"]


def test_health_needs_no_other_service(world: World, request_of: Make) -> None:
    calls = world.process.calls
    assert _body(status.health(request_of(method="GET"))) == {"status": "ok"}
    assert world.process.calls == calls


ROUTES: tuple[Callable[[Request], Response], ...] = (
    status.list_snapshots,
    status.list_datasets,
    status.get_snapshot,
    status.get_dataset,
)


@pytest.mark.parametrize("route", ROUTES)
def test_a_storage_that_is_busy_is_503(world: World, request_of: Make, route: Callable[[Request], Response]) -> None:
    def busy(*_: Any) -> Any:
        raise ServiceBusy("storage is busy")

    world.storage.read = busy  # type: ignore[method-assign, assignment]
    world.storage.list = busy  # type: ignore[method-assign, assignment]
    answer = route(request_of(method="GET", route={"id": SNAPSHOT, "name": DATASET}))
    assert _body(answer, 503)["error"]["code"] == "unavailable"
    assert answer.headers["Retry-After"]


def test_a_damaged_row_is_named_where_it_is_asked_for_and_counted_in_health(world: World, request_of: Make) -> None:
    for row in (a_snapshot(), a_dataset()):
        world.services.ledger.create(row)
    for stored in world.storage.blobs.values():
        stored.data = b"{"
    sweep.sweep(world.services)
    for route in (status.get_snapshot, status.get_dataset):
        answer = _body(route(request_of(method="GET", route={"id": SNAPSHOT, "name": DATASET})), 503)
        assert "cannot be read" in answer["error"]["message"]
    listed = _body(status.list_snapshots(request_of(method="GET")))
    assert [row["state"] for row in listed["snapshots"]] == ["DAMAGED"]
    assert len(listed["damaged"]) == 2
    runtime.services()
    assert _body(status.health(request_of(method="GET"))) == {"status": "ok", "damaged_blobs": 2}


def test_the_report_and_the_evaluation_of_a_snapshot_are_served_as_they_were_written(
    world: World, request_of: Make
) -> None:
    row = a_trained_snapshot()
    world.services.ledger.create(row)
    evaluation = f"{SNAPSHOT}/r1/evaluation.json"
    measured = GateMetrics(asked=0)
    judged = Judgement(passed=True, against_live="first", candidate=measured, evaluation=evaluation)
    world.services.ledger.create(a_dataset(live=a_release(gate=judged)))
    for route, container, name in (
        (status.get_report, "reports", f"{SNAPSHOT}.json"),
        (status.get_evaluation, "evaluations", judged.evaluation),
    ):
        asked = {"method": "GET", "route": {"id": SNAPSHOT}}
        world.storage.put(container, name, b'{"rows": 40}')
        assert _body(route(request_of(**asked))) == {"rows": 40}
        world.storage.put(container, name, b'{"rows": ')
        refused = _body(route(request_of(**asked)), 503)
        assert f"{container}/{name} cannot be read" in refused["error"]["message"]


@pytest.mark.parametrize("route", [status.get_report, status.get_evaluation, status.get_training])
def test_what_was_not_written_yet_is_404_with_where_to_look(world: World, request_of: Make, route: Any) -> None:
    world.services.ledger.create(a_snapshot())
    refused = _body(route(request_of(method="GET", route={"id": SNAPSHOT})), 404)
    assert "GET /api/snapshots/{id}" in refused["error"]["message"]


def test_kept_logs_are_served_by_what_wrote_them_and_only_their_ends(world: World, request_of: Make) -> None:
    world.services.ledger.create(a_trained_snapshot(attempt=2))
    world.storage.put("reports", naming.training_log(SNAPSHOT, 2), b"x" * 50_000 + b"the end")
    world.storage.put("evaluations", f"{SNAPSHOT}/r1.log.json", b'{"inference-server": "no model"}')
    world.storage.put("evaluations", f"{SNAPSHOT}/r1/evaluation.json", b"{}")
    found = _body(status.get_logs(request_of(method="GET", route={"id": SNAPSHOT})))
    assert {name: text[-7:] for name, text in found.items()} == {
        "training, attempt 2": "the end",
        "deployment r1, inference-server": "o model",
    }
    assert len(found["training, attempt 2"]) == documents.LOG_END
    assert _body(status.get_logs(request_of(method="GET", route={"id": NEWER})), 404)


def test_a_training_is_shown_as_far_as_it_is_known(world: World, request_of: Make) -> None:
    asked = request_of(method="GET", route={"id": SNAPSHOT})
    world.services.ledger.create(a_trained_snapshot(S.TRAINING, job="j", job_status="Running", hyperparameters={}))
    unknown = _body(status.get_training(asked))
    assert (unknown["step"], unknown["seconds_left"], unknown["curves"]) == (None, None, {})
    assert unknown["why"] == "the job has not logged anything yet"
    kept = {"job": "j", "attempt": 1, "curves": {"loss": [[10, 60.0, 2.5]], "epoch": [[10, 60.0, 0.5]]}}
    world.storage.put("reports", naming.training_metrics(SNAPSHOT, 1), json.dumps(kept).encode())
    found = _body(status.get_training(asked))
    assert (found["step"], found["steps"], found["share"], found["latest"]["loss"]) == (10, 20, 0.5, 2.5)
    assert found["curves"]["loss"] == [[10, 60.0, 2.5]]
    world.storage.put("reports", naming.training_metrics(SNAPSHOT, 1), b"{")
    assert "training-1.json cannot be read" in _body(status.get_training(asked), 503)["error"]["message"]


def test_a_missing_role_is_named_in_health_without_names_of_things_and_with_them_to_those_with_a_key(
    world: World, request_of: Make
) -> None:
    fault = Fault(type="AccessDenied", message=f"job dt-1: {DENIED} do x: R", step="submit", count=5, since=1.0)
    world.services.ledger.create(a_snapshot(fault=fault, attention=True))
    sweep.sweep(world.services)
    (told,) = _body(status.list_snapshots(request_of(method="GET")))["not_allowed"]
    assert told["text"] == f"job dt-1: {DENIED} do x: R"
    runtime.services()
    found = {"status": "ok", "missing_roles": [f"{DENIED} do x: R"]}
    assert _body(status.health(request_of(method="GET"))) == found


def test_a_process_that_may_not_use_storage_says_so_in_health(
    world: World, request_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> Any:
        raise AccessDenied(f"ledger/x: {DENIED} use it (HTTP 403): it needs the roles R")

    with monkeypatch.context() as patch:
        patch.setattr(runtime, "_services", refused)
        assert status.list_snapshots(request_of(method="GET")).status_code == 503
    found = {"status": "ok", "missing_roles": [f"{DENIED} use it (HTTP 403): it needs the roles R"]}
    assert _body(status.health(request_of(method="GET"))) == found
    runtime.services()
    assert _body(status.health(request_of(method="GET"))) == {"status": "ok"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"state": "FLYING"}, "state: one of"),
        ({"before": "../x"}, "before: the id of a snapshot"),
        ({"limit": "0"}, "limit: 1 to 200"),
        ({"limit": "201"}, "limit: 1 to 200"),
        ({"limit": "9" * 10_000}, "limit: 1 to 200"),
        ({"limit": "\u0663"}, "limit: 1 to 200"),
    ],
)
def test_a_page_that_cannot_be_is_refused_by_name(
    asked: dict[str, str], said: str, request_of: Callable[..., Request]
) -> None:
    response = status.list_snapshots(request_of(method="GET", params=asked))
    assert (response.status_code, said in bytes(response.body).decode()) == (400, True)
