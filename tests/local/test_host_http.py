"""HTTP functions through a running host."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.local.host_apps.harness import HostProcess, Starter, Witness

pytest_plugins = ["tests.local.host_apps.harness"]


@pytest.fixture(scope="module")
def shared_host(start_once: Starter) -> HostProcess:
    return start_once("http_app").ready()


@pytest.fixture
def host(shared_host: HostProcess) -> HostProcess:
    """The file's host; what it logged for other tests is forgotten."""
    shared_host.lines.clear()
    return shared_host


@pytest.fixture
def witness(ear: Witness) -> Witness:
    """The one that the file's host speaks to."""
    return ear


def test_a_request_reaches_its_function_whole(host: HostProcess) -> None:
    answer = host.client.put(
        "/api/items/5?a=1&a=2&b=x%20y",
        content=b"body \xc3\xa4",
        headers=[("X-Some", "one"), ("X-Some", "two"), ("Cookie", "c=1")],
    )
    seen = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert seen["method"] == "PUT"
    assert seen["url"] == f"{host.url}/api/items/5?a=1&a=2&b=x%20y"
    assert seen["query"] == {"a": "1,2", "b": "x y"}
    assert seen["route"] == {"id": "5"}
    assert seen["body"] == "body ä"
    assert seen["headers"]["x-some"] == "one,two"
    assert seen["headers"]["cookie"] == "c=1"


def test_the_most_specific_route_answers(host: HostProcess) -> None:
    assert "x-function" not in host.client.get("/api/items/5").headers
    assert host.client.get("/API/Items/five").headers["x-function"] == "named_item"


def test_two_functions_of_one_route_are_told_apart_by_their_methods(host: HostProcess) -> None:
    assert host.client.get("/api/items/five").headers["x-function"] == "named_item"
    assert host.client.delete("/api/items/five").headers["x-function"] == "removed_item"
    assert host.client.patch("/api/items/five").status_code == 404


def test_an_escaped_slash_does_not_end_a_segment(host: HostProcess) -> None:
    assert host.client.get("/api/items/a%2Fb%20c").json()["route"] == {"name": "a%2Fb c"}
    assert host.client.get("/api/files/a/b.c").json()["route"] == {"rest": "a/b.c"}


def test_unknown_routes_and_unlisted_methods_are_not_found(host: HostProcess) -> None:
    """Azure knows no 405 either."""
    assert host.client.get("/api/nowhere").status_code == 404
    assert host.client.get("/items/5").status_code == 404
    assert host.client.post("/api/items/5").status_code == 404
    assert host.client.get("/runtime/webhooks/other").status_code == 404
    assert host.client.get("/admin/other").status_code == 404


def test_a_route_without_methods_takes_all_of_them(host: HostProcess) -> None:
    for method in ("GET", "POST", "DELETE", "PATCH", "OPTIONS"):
        assert host.client.request(method, "/api/files/x").json()["method"] == method


def test_head_gets_the_headers_only(host: HostProcess) -> None:
    answer = host.client.head("/api/items/5")
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) > 0
    assert answer.content == b""
    assert host.client.get("/api/items/5").status_code == 200  # the connection is still in order


@pytest.mark.parametrize(("path", "openers"), [("guarded", {"function", "master"}), ("owner", {"master"})])
def test_a_guarded_function_wants_a_key(host: HostProcess, path: str, openers: set[str]) -> None:
    offers = {"function": host.keys["function"], "master": host.keys["master"], "wrong": "x"}
    for name, key in offers.items():
        expected = 200 if name in openers else 401
        assert host.client.get(f"/api/{path}", params={"code": key}).status_code == expected
        assert host.client.get(f"/api/{path}", headers={"x-functions-key": key}).status_code == expected
    assert host.client.get(f"/api/{path}").status_code == 401


def test_text_is_returned_as_text(host: HostProcess) -> None:
    answer = host.client.get("/api/guarded", params={"code": host.keys["master"]})
    assert answer.text == "let in"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_bytes_and_status_are_returned_as_they_are(host: HostProcess) -> None:
    answer = host.client.post("/api/bytes", content=b"\x00\x01\xff")
    assert (answer.status_code, answer.content) == (418, b"\xff\x01\x00")


def test_a_response_without_content_has_none(host: HostProcess) -> None:
    answer = host.client.get("/api/nothing")
    assert (answer.status_code, answer.content) == (204, b"")
    assert host.client.get("/api/items/5").status_code == 200


def test_cookies_come_back_with_their_attributes(host: HostProcess) -> None:
    answer = host.client.get("/api/cookies")
    assert answer.status_code == 201
    assert answer.headers["x-many"] == "one"
    assert answer.headers.get_list("set-cookie") == [
        "a=1; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
        "b=2; Domain=example.com; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Secure",
    ]


def test_a_failure_is_an_empty_500_and_its_trace_is_in_the_log(host: HostProcess) -> None:
    answer = host.client.get("/api/fail")
    assert (answer.status_code, answer.content) == (500, b"")
    host.logged(r"function=fail invocation=\S+ .*result=failed duration_ms=\S+ error=ValueError: the secret")
    host.logged(r"function_app.py\", line \d+, in fail")


def test_a_function_that_exits_does_not_take_the_host_along(host: HostProcess) -> None:
    assert host.client.get("/api/exit").status_code == 500
    assert host.client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_app_logs_carry_the_invocation(host: HostProcess, kind: str) -> None:
    invocation = host.client.get(f"/api/log/{kind}").text
    host.logged(rf"INFO root \[{invocation}\] {kind} says {invocation}")
    host.logged(rf"function=log_{kind} invocation={invocation} trigger=http result=succeeded duration_ms=\d")
    assert "never shown" not in host.log
    if kind == "async":
        host.logged(rf"\[{invocation}\] from a thread of {invocation}")


def test_there_is_one_line_for_each_invocation(start: Starter) -> None:
    host = start("http_app").ready()
    for _ in range(3):
        host.client.get("/api/items/5")
    host.client.get("/api/log/sync")
    host.logged("function=log_sync")
    assert len(re.findall("function=item invocation=", host.log)) == 3


def test_a_blocked_app_loop_does_not_stop_the_host(host: HostProcess, witness: Witness) -> None:
    answers: list[Any] = []
    caller = threading.Thread(
        target=lambda: answers.append(httpx.get(f"{host.url}/api/wait/async", timeout=90, trust_env=False))
    )
    caller.start()
    held = witness.hold()
    assert host.client.get("/healthz").status_code == 200
    held.answer()
    caller.join()
    assert answers[0].text == "waited"


def test_the_function_timeout_ends_an_async_function(start: Starter, witness: Witness) -> None:
    host = start("http_app", host_json={"functionTimeout": "00:00:00.2"}).ready()
    answer = host.client.get("/api/wait/cancelled")
    assert (answer.status_code, answer.content) == (500, b"")
    assert witness.hear() == {"at": "cancelled"}
    host.logged("error=functionTimeout: no result after 0.2 s")


def test_the_route_prefix_can_be_changed_or_left_out(start: Starter) -> None:
    for prefix, path in (("v1/x", "/v1/x/items/5"), ("", "/items/5")):
        host = start("http_app", host_json={"extensions": {"http": {"routePrefix": prefix}}}).ready()
        assert host.client.get(path).status_code == 200
        assert host.client.get("/api/items/5").status_code == 404
        assert host.client.get("/healthz").status_code == 200


def test_the_status_lists_the_functions(host: HostProcess) -> None:
    status = host.client.get("/admin/host/status").json()
    assert status["state"] == "Running"
    assert {"item", "guarded", "fail"} <= set(status["functions"])


def test_an_http_function_is_not_run_by_hand(host: HostProcess) -> None:
    assert host.run_by_hand("item").status_code == 400
    assert host.client.post("/admin/functions/item").status_code == 401
    assert host.run_by_hand("nobody").status_code == 404


def test_the_keys_are_not_in_the_apps_environment(start: Starter) -> None:
    source = """
import json, os
import azure.functions as func
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.route("environment")
def environment(req: func.HttpRequest) -> str:
    return json.dumps(dict(os.environ))
"""
    host = start(source=source).ready()
    environment = json.loads(host.client.get("/api/environment").text)
    secrets = {host.keys["function"], host.keys["master"], host.keys["system"]["eventgrid_extension"]}
    assert not secrets & set(environment.values())


def test_a_401_says_what_is_missing_in_the_form_that_chat_clients_read(host: HostProcess) -> None:
    error = host.client.get("/api/guarded").json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("authentication_error", "invalid_api_key", None)
    assert "x-functions-key" in error["message"]


def test_a_path_with_a_line_feed_is_one_of_the_apps(host: HostProcess) -> None:
    assert host.client.get("/api/items/a%0Ab").json()["route"] == {"name": "a\nb"}
    assert host.client.get("/api/files/a%0A/b").json()["route"] == {"rest": "a\n/b"}


def test_a_path_with_a_line_feed_is_unknown_to_an_app_that_streams(start: Starter) -> None:
    """Its inner server has no route for it: the function would wait for the request for ever."""
    host = start("streaming_app").ready()
    answer = host.client.get("/api/parts/a%0A", timeout=90)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_route")
