"""HTTP functions that stream, by way of a web extension."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from tests.local.host_apps.harness import HostProcess, Starter, Witness

pytest_plugins = ["tests.local.host_apps.harness"]


@pytest.fixture(scope="module")
def shared_host(start_once: Starter) -> HostProcess:
    return start_once("streaming_app").ready()


@pytest.fixture
def host(shared_host: HostProcess) -> HostProcess:
    """The file's host; what it logged for other tests is forgotten."""
    shared_host.lines.clear()
    return shared_host


@pytest.fixture
def witness(ear: Witness) -> Witness:
    """The one that the file's host speaks to."""
    return ear


def test_parts_arrive_as_they_are_made(host: HostProcess, witness: Witness) -> None:
    with host.client.stream("GET", "/api/parts/name") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers.get_list("server") == ["uvicorn"]
        parts = answer.iter_raw()
        for _ in range(3):  # the next one is made only once this one was read
            assert witness.hear() == {"at": "name"}
            assert next(parts) == b"part"
    while witness.hear() != {"at": "closed"}:
        pass  # the part it was about to make


def test_a_client_that_leaves_ends_the_generator(host: HostProcess, witness: Witness) -> None:
    with host.client.stream("GET", "/api/parts/name") as answer:
        witness.hear()
        parts = answer.iter_raw()  # kept: without it the client leaves at once
        next(parts)
        held = witness.hold()
    assert witness.hear() == {"at": "closed"}  # while it still waits for the answer
    held.answer()


@pytest.mark.parametrize("size", [0, 100, 500_000])
def test_a_client_that_leaves_before_the_answer_is_noticed_by_the_function(
    host: HostProcess, witness: Witness, size: int
) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(host.url).port or 0)) as client:
        head = f"POST /api/left HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        client.sendall(head.encode() + b"x" * size)
        assert witness.hear() == {"at": "waiting"}
    assert witness.hear() == {"at": "left"}
    assert host.client.post("/api/size", content=b"abc").text == "3 None"


def test_a_request_body_is_streamed_too(host: HostProcess) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * 500_000

    answer = host.client.post("/api/size?q=a%20b", content=body())
    assert (answer.status_code, answer.text) == (201, "1500000 a b")
    assert answer.headers["x-own"] == "yes"
    assert host.client.post("/api/size", content=b"abc").text == "3 None"


def test_a_failure_is_an_empty_500(host: HostProcess) -> None:
    answer = host.client.get("/api/fail")
    assert (answer.status_code, answer.content) == (500, b"")
    host.logged("function=fail .* result=failed .* error=ValueError: the secret reason")


def test_a_500_of_the_apps_own_is_left_alone(host: HostProcess) -> None:
    answer = host.client.get("/api/unhappy")
    assert (answer.status_code, answer.text) == (500, "meant so")


def test_keys_and_routes_are_checked_before(host: HostProcess) -> None:
    assert host.client.get("/api/guarded").status_code == 401
    assert host.client.get("/api/guarded", params={"code": host.keys["function"]}).text == "let in"
    assert host.client.get("/api/nowhere").status_code == 404


@pytest.mark.parametrize(
    "forged",
    [
        {"x-ms-invocation-id": "0"},
        {"X-MS-Invocation-Id": "3f2504e0-4f89-41d3-9a0c-0305e82c3301"},
        {"expect": "100-continue"},
        {"te": "trailers", "trailer": "x-after"},
        {"connection": "x-ms-invocation-id, close"},
        {"upgrade": "h2c"},
        {"host": "elsewhere.example"},
    ],
    ids=lambda headers: "+".join(headers),
)
def test_what_a_caller_says_of_the_call_itself_changes_nothing(host: HostProcess, forged: dict[str, str]) -> None:
    """With an invocation id of the caller's the inner server waited for ever for a call of that name."""
    answer = host.client.post("/api/size?q=1", content=b"abc", headers=forged, timeout=90)
    assert (answer.status_code, answer.text) == (201, "3 1")


def test_a_stream_that_has_begun_may_end_within_the_grace(start: Starter, witness: Witness) -> None:
    host = start("streaming_app", "--grace", "15").ready()
    with host.client.stream("GET", "/api/two") as answer:
        parts = answer.iter_text()
        assert next(parts) == "first "
        held = witness.hold()
        host.process.send_signal(signal.SIGTERM)
        host.closed()
        time.sleep(1.5)  # longer than the host waits for its last responses once no call runs
        held.answer()
        assert next(parts) == "second"
        assert list(parts) == []
    assert host.wait() == 0


ORIGIN = "http://localhost:3000"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization",
}


def test_pages_of_allowed_origins_may_call_and_ask_first_without_a_key(start: Starter) -> None:
    host = start("streaming_app", WEBSITE_CORS_ALLOWED_ORIGINS=f'["{ORIGIN}"]').ready()
    asked = host.client.options("/api/guarded", headers=PREFLIGHT)
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert "authorization" in asked.headers["access-control-allow-headers"].lower()
    refused = host.client.get("/api/guarded", headers={"Origin": ORIGIN})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)
    strange = host.client.options("/api/guarded", headers={**PREFLIGHT, "Origin": "http://evil.example"})
    assert "access-control-allow-origin" not in strange.headers


def test_without_allowed_origins_no_page_may_call(host: HostProcess) -> None:
    assert "access-control-allow-origin" not in host.client.options("/api/guarded", headers=PREFLIGHT).headers


@pytest.mark.parametrize("wrong", ["http://localhost:3000", '{"a": 1}', "[1]"])
def test_origins_that_cannot_be_read_stop_the_start_with_their_name(start: Starter, wrong: str) -> None:
    host = start("streaming_app", WEBSITE_CORS_ALLOWED_ORIGINS=wrong)
    assert host.wait() == 1
    assert "WEBSITE_CORS_ALLOWED_ORIGINS is not a JSON list" in host.log


def test_an_answer_is_not_held_back(host: HostProcess) -> None:
    """Without TCP_NODELAY every single one takes 40 ms and more."""
    at_once = timedelta(milliseconds=35)
    assert any(host.client.post("/api/size", content=b"x").elapsed < at_once for _ in range(1000))


def test_the_inner_server_does_not_keep_the_signals(start: Starter, witness: Witness) -> None:
    """It would act on them on the app's loop, which is blocked here."""
    host = start("streaming_app", "--grace", "0.2").ready()
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(httpx.get, f"{host.url}/api/block", timeout=90, trust_env=False)
        witness.hold()
        assert host.end() == 0
        assert blocked.exception(90) or not blocked.result().is_success


def test_an_answer_that_is_being_sent_may_finish(start: Starter, witness: Witness) -> None:
    """Its function has returned, so no invocation runs any more."""
    host = start("streaming_app", "--grace", "15").ready()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.get, f"{host.url}/api/two", timeout=90, trust_env=False)
        held = witness.hold()
        host.process.send_signal(signal.SIGTERM)
        host.closed()
        time.sleep(1.5)  # longer than what is left once no function runs
        held.answer()
        assert asked.result().text == "first second"
    assert host.wait() == 0
