"""The Event Grid webhook of a running host."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.local.host_apps.harness import HostProcess, Starter, Witness

pytest_plugins = ["tests.local.host_apps.harness"]

Post = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def shared_host(start_once: Starter) -> HostProcess:
    return start_once("event_app").ready()


@pytest.fixture
def host(shared_host: HostProcess) -> HostProcess:
    """The file's host; what it logged for other tests is forgotten."""
    shared_host.lines.clear()
    return shared_host


@pytest.fixture
def witness(ear: Witness) -> Witness:
    """The one that the file's host speaks to."""
    return ear


@pytest.fixture
def post(host: HostProcess) -> Post:
    def send(body: Any, function: str = "received", method: str = "POST", **headers: str) -> httpx.Response:
        query = {"functionName": function, "code": host.keys["system"]["eventgrid_extension"]}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return host.client.request(method, "/runtime/webhooks/EventGrid", params=query, content=content, headers=named)

    return send


def event(subject: str = "one", **fields: Any) -> dict[str, Any]:
    """An event of the Event Grid schema."""
    base = {
        "id": f"id-{subject}",
        "topic": "/subscriptions/x",
        "subject": subject,
        "eventType": "Microsoft.Storage.BlobCreated",
        "eventTime": "2026-11-24T10:20:30.1234567Z",
        "data": {"api": "PutBlob"},
        "dataVersion": "",
        "metadataVersion": "1",
    }
    return {**base, **fields}


def cloud_event(subject: str = "one") -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"id-{subject}",
        "source": "/subscriptions/x",
        "subject": subject,
        "type": "Microsoft.Storage.BlobCreated",
        "time": "2026-11-24T10:20:30.1234567Z",
        "data": {"api": "PutBlob"},
    }


@pytest.mark.parametrize("make", [event, cloud_event])
def test_one_event_runs_the_function_once(post: Post, witness: Witness, make: Any) -> None:
    for body in (make(), [make()]):
        answer = post_while_hearing(post, witness, body, 1)
        assert answer.status == 200
        assert answer.heard == [
            {
                "at": "received",
                "type": "Microsoft.Storage.BlobCreated",
                "subject": "one",
                "id": "id-one",
                "data": {"api": "PutBlob"},
            }
        ]


class Answered:
    def __init__(self, status: int, heard: list[dict[str, Any]]) -> None:
        self.status, self.heard = status, heard


def post_while_hearing(post: Post, witness: Witness, body: Any, count: int) -> Answered:
    """Post, and answer the function's calls meanwhile; all of them are held until the last has come."""
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(post, body)
        notes = [witness.hold() for _ in range(count)]
        for note in notes:
            note.answer()
        return Answered(sent.result().status_code, [note.fields for note in notes])


def test_the_events_of_a_batch_run_side_by_side(post: Post, witness: Witness) -> None:
    answer = post_while_hearing(post, witness, [event("a"), event("b"), event("c")], 3)
    assert answer.status == 200
    assert {heard["subject"] for heard in answer.heard} == {"a", "b", "c"}


def test_one_failure_fails_the_delivery_after_all_have_run(host: HostProcess, post: Post, witness: Witness) -> None:
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(post, [event("fail"), event("good")])
        notes = {note.fields["subject"]: note for note in (witness.hold(), witness.hold())}
        notes["fail"].answer()
        host.logged("function=received .*result=failed")
        with pytest.raises(TimeoutError):
            sent.result(0.3)
        notes["good"].answer()
        assert sent.result().status_code == 500
        host.logged("function=received .*result=succeeded")


def test_the_validation_handshake_returns_the_code_and_runs_nothing(post: Post, witness: Witness) -> None:
    code = {"validationCode": "512d38b6", "validationUrl": "https://x"}
    request = event("", eventType="Microsoft.EventGrid.SubscriptionValidationEvent", data=code)
    answer = post([request], aeg_event_type="SubscriptionValidation")
    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "512d38b6"})
    assert witness.heard_nothing()


def test_the_cloud_events_handshake_allows_the_origin(post: Post) -> None:
    answer = post(b"", method="OPTIONS", webhook_request_origin="eventgrid.azure.net")
    assert answer.status_code == 200
    assert answer.headers["webhook-allowed-origin"] == "eventgrid.azure.net"
    assert answer.headers["webhook-allowed-rate"] == "*"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"1", [], [1], {}, {"specversion": "1.0"}, [event(), {"eventType": 1}]]
)
def test_what_is_no_event_is_a_bad_request(post: Post, witness: Witness, body: Any) -> None:
    assert post(body).status_code == 400
    assert witness.heard_nothing()


def test_only_event_grid_functions_are_reached(post: Post) -> None:
    assert post(event(), function="nobody").status_code == 404
    assert post(event(), function="never").status_code == 404
    assert post(event(), function="").status_code == 404


def test_the_function_name_ignores_case(post: Post, witness: Witness) -> None:
    code = {"validationCode": "c"}
    request = event(eventType="Microsoft.EventGrid.SubscriptionValidationEvent", data=code)
    assert post(request, function="RECEIVED").status_code == 200


def test_the_webhook_wants_the_system_key(host: HostProcess, witness: Witness) -> None:
    path = "/runtime/webhooks/EventGrid?functionName=received"
    assert host.client.post(path, json=[event()]).status_code == 401
    assert host.client.post(f"{path}&code={host.keys['function']}", json=[event()]).status_code == 401
    assert host.client.options(path).status_code == 401
    assert witness.heard_nothing()


def test_an_event_can_be_handed_in(host: HostProcess, witness: Witness) -> None:
    assert host.run_by_hand("received", "{").status_code == 400
    key = {"x-functions-key": host.keys["master"]}
    answer = host.client.post("/admin/functions/received", json={"input": json.dumps(event())}, headers=key)
    assert answer.status_code == 202
    assert witness.hear()["subject"] == "one"
