"""Faults at the door, pacing, waiting, events."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError, ServiceResponseError

from tests.local.azureml_sdk import Data, chat_job, registry_client, submit, workspace_client
from tests.local.azureml_server import AzureMl

URI = "azureml://datastores/droptune_frozen/paths/faq/train.jsonl"


def data(name: str) -> Data:
    """A data asset to write: the cheapest thing there is."""
    return Data(name=name, version="1", path=URI, type="uri_file")


@pytest.mark.parametrize("status", [403, 409, 412, 429, 500, 503])
def test_fault_answers_instead_of_the_service(azureml: AzureMl, ml: Any, name: str, status: int) -> None:
    azureml.control("POST", "/faults", {"method": "PUT", "path": f"/data/{name}", "status": status, "times": 4})
    client = workspace_client(retry_total=0)
    with pytest.raises(HttpResponseError) as refused:
        client.data.create_or_update(data(name))
    assert refused.value.status_code == status
    azureml.control("DELETE", "/faults")
    with pytest.raises(ResourceNotFoundError):
        ml.data.get(name, version="1")


WRONG_CONTROLS = [
    ("POST", "/jobs/*x*", {"outcome": "Failed"}, "did you mean '.*x.*'"),
    ("POST", "/jobs/x", {"outcome": "Failed", "step": "no_such_step"}, "no job comes to a step 'no_such_step'"),
    ("POST", "/jobs/x", {"outcome": "Perish"}, "found 'Perish'"),
    ("POST", "/jobs/x", ["Failed"], "the body"),
    ("POST", "/jobs/no-such-job", {"outcome": "release"}, "no-such-job"),
    ("POST", "/faults", {"path": "*x*", "status": 500}, "did you mean '.*x.*'"),
    ("POST", "/faults", {"deployment": "*", "status": 500}, "did you mean '.*'"),
    ("POST", "/faults", {"method": "FETCH", "status": 500}, "method 'FETCH' is none of"),
    ("POST", "/faults", {"path": "x"}, "the fault would not show"),
    ("POST", "/faults", {"model_status": 500}, "name the deployment"),
    ("POST", "/faults", {"paths": "x"}, "paths"),
    ("POST", "/deployments/no-such/blue", {"outcome": "crash"}, "no-such"),
    ("POST", "/deployments/e/blue", {"outcome": "Explode"}, "found 'Explode'"),
    ("POST", "/deployments/e/blue", {"outcome": "Failed", "reason": "x"}, "reason"),
    ("POST", "/computes/c", {"text": "x"}, "text"),
    ("POST", "/metrics", {"endpoint": "e"}, "deployment"),
    ("POST", "/clock", {}, "advance_seconds"),
    ("PUT", "/pace", {"jobs": 1}, "jobs"),
    ("PUT", "/settings", {"quotas": {}}, "quotas"),
    ("PUT", "/serving", {"*": {"shape": "poem"}}, "poem"),
    ("PUT", "/registry/models/Phi-4", {"versions": "9"}, "versions"),
    ("GET", "/requests?path=*x*", None, "did you mean '.*x.*'"),
    ("GET", "/requests?at_least=many", None, "at_least 'many' is no number"),
    ("GET", "/idle?timeout=soon", None, "timeout 'soon' is no number"),
    ("GET", "/faults/none/reached", None, "There is no fault none"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "why"), WRONG_CONTROLS, ids=[f"{w[0]} {w[1]}" for w in WRONG_CONTROLS]
)
def test_a_control_call_that_can_have_no_effect_is_refused_with_the_reason(
    azureml: AzureMl, method: str, path: str, body: Any, why: str
) -> None:
    answer = azureml.send(method, f"/_control{path}", json=body)
    assert answer.status_code in (400, 404), answer.text
    assert why in answer.json()["error"]["message"]


def test_an_ending_for_a_job_that_has_ended_is_refused(
    azureml: AzureMl, ml: Any, registry: Any, name: str, faq_files: Any
) -> None:
    azureml.control("POST", f"/jobs/{name}", {"outcome": "hold"})
    submit(ml, chat_job(registry, name, faq_files))
    azureml.control("GET", f"/jobs/{name}/reached")
    azureml.control("POST", f"/jobs/{name}", {"outcome": "Canceled"})
    azureml.wait_until_idle()
    answer = azureml.send("POST", f"/_control/jobs/{name}", json={"outcome": "Failed"})
    assert answer.status_code == 400
    assert "has ended (Canceled)" in answer.json()["error"]["message"]


def test_a_call_for_later_says_what_it_fits_now_and_what_nothing_ever_met(azureml: AzureMl, name: str) -> None:
    assert azureml.control("POST", f"/jobs/{name}", {"outcome": "Failed"}) == {"applied": "later", "matching": []}
    assert azureml.control("POST", "/metrics", {"endpoint": name, "deployment": "d"}) == {"matching": []}
    identity = azureml.control("POST", "/faults", {"method": "put", "path": name, "status": 500})["id"]
    listed = azureml.control("GET", "/faults")
    assert (listed["planned"], [(one["id"], one["hits"]) for one in listed["faults"]]) == (
        [f"jobs/{name}"],
        [(identity, 0)],
    )
    cleared = azureml.control("DELETE", "/faults")
    assert (cleared["planned"], [one["id"] for one in cleared["unused"]]) == ([f"jobs/{name}"], [identity])


def test_the_method_of_a_fault_may_be_in_small_letters(azureml: AzureMl, ml: Any, name: str) -> None:
    azureml.control("POST", "/faults", {"method": "put", "path": name, "status": 403})
    with pytest.raises(HttpResponseError):
        workspace_client(retry_total=0).data.create_or_update(data(name))


def test_fault_after_acting_leaves_the_work_done(azureml: AzureMl, ml: Any, name: str) -> None:
    azureml.control("POST", "/faults", {"method": "PUT", "path": name, "status": 403, "after": True})
    with pytest.raises(HttpResponseError):
        ml.data.create_or_update(data(name))
    assert ml.data.get(name, version="1").version == "1"


def test_connection_cut_after_acting_leaves_the_work_done(azureml: AzureMl, name: str) -> None:
    azureml.control("POST", "/faults", {"method": "PUT", "path": name, "close": True, "after": True})
    client = workspace_client(retry_total=0)
    with pytest.raises(ServiceResponseError):
        client.data.create_or_update(data(name))
    assert client.data.get(name, version="1").version == "1"


def test_held_request_waits_until_released(azureml: AzureMl, ml: Any, name: str) -> None:
    identity = azureml.control("POST", "/faults", {"method": "PUT", "path": name, "hold": True})["id"]
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(ml.data.create_or_update, data(name))
        assert azureml.control("GET", f"/faults/{identity}/reached?timeout=90")["reached"]
        assert azureml.arm("GET", f"/data/{name}/versions/1").status_code == 404
        azureml.control("POST", f"/faults/{identity}/release")
        assert writing.result().version == "1"


def test_fault_that_is_not_reached_says_so_in_time(azureml: AzureMl) -> None:
    identity = azureml.control("POST", "/faults", {"path": "never", "status": 500})["id"]
    assert azureml.send("GET", f"/_control/faults/{identity}/reached?timeout=0.05").status_code == 408


def test_requests_are_noted_with_their_bodies(azureml: AzureMl, ml: Any, name: str) -> None:
    ml.data.create_or_update(data(name))
    (noted,) = azureml.control("GET", f"/requests?method=PUT&path=/data/{name}/")["value"]
    assert noted["status"] == 201
    assert noted["body"]["properties"]["dataUri"] == URI


def test_unknown_setting_is_refused_by_name(azureml: AzureMl) -> None:
    answer = azureml.send("PUT", "/_control/pace", json={"job_seconds": 1})
    assert answer.status_code == 400
    assert "job_seconds" in answer.json()["error"]["message"]


def test_idle_names_what_still_moves(
    azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str
) -> None:
    azureml.control("POST", f"/jobs/{name}", {"outcome": "hold"})
    submit(ml, chat_job(registry, name, faq_files))
    answer = azureml.send("GET", "/_control/idle?timeout=0.05")
    assert (answer.status_code, answer.json()["moving"]) == (408, [f"jobs/{name}"])
    azureml.control("POST", f"/jobs/{name}", {"outcome": "Canceled"})
    azureml.wait_until_idle()


def test_stop_under_load_takes_less_than_two_seconds(own_azureml: AzureMl, faq_files: dict[str, str]) -> None:
    own_azureml.control("POST", "/faults", {"path": "/data/", "hold": True})
    ml = workspace_client()
    own_azureml.control("POST", "/jobs/busy", {"outcome": "hold"})
    submit(ml, chat_job(registry_client(), "busy", faq_files))
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(own_azureml.arm, "GET", "/data/x/versions/1")
        own_azureml.control("GET", "/requests?path=/data/x&at_least=1")
        own_azureml.stop()
        held.exception()


# -- events --------------------------------------------------------------------------------------


class Topic(ThreadingHTTPServer):
    """A topic that keeps what it is sent; refuses the first few when told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), TopicHandler)
        self.events: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.refusals = 0


class TopicHandler(BaseHTTPRequestHandler):
    """Takes events."""

    server: Topic

    def do_POST(self) -> None:
        """Keep them."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refuse = self.server.refusals > 0
        self.server.refusals -= refuse
        if not refuse:
            self.server.keys.add(self.headers["aeg-sas-key"])
            self.server.events += json.loads(body)
        self.send_response(503 if refuse else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def topic() -> Iterator[Topic]:
    """A running topic."""
    with Topic() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def publishing(azurite: Any, tmp_path: Path, topic: Topic) -> Iterator[AzureMl]:
    """A server that publishes to the topic."""
    url = f"http://127.0.0.1:{topic.server_port}/topics/azureml/api/events"
    server = AzureMl(tmp_path, azurite.connection_string, "--topic-url", url)
    server.start()
    with server.environment():
        yield server
    server.stop()


def test_job_publishes_every_status_of_parent_and_steps(
    publishing: AzureMl, topic: Topic, faq_files: dict[str, str]
) -> None:
    topic.refusals = 2
    job = chat_job(registry_client(), "evented", faq_files)
    job.tags = {"snapshot": "s1"}
    submit(workspace_client(), job)
    publishing.wait_until_idle()
    parent = [event for event in topic.events if event["data"]["runId"] == "evented"]
    statuses = [event["data"].get("runStatus") for event in parent]
    assert statuses == ["Preparing", "Running", "Finalizing", "Completed", None]
    assert parent[-1]["eventType"] == "Microsoft.MachineLearningServices.RunCompleted"
    assert parent[0]["data"]["runTags"] == {"snapshot": "s1"}
    assert parent[0]["topic"] == publishing.workspace_path
    assert parent[0]["subject"].endswith("/runs/evented")
    kinds = {event["data"]["runType"] for event in topic.events}
    assert kinds == {"azureml.PipelineRun", "azureml.StepRun"}
    assert topic.keys == {"k"}


def test_failed_job_publishes_no_completion(publishing: AzureMl, topic: Topic, faq_files: dict[str, str]) -> None:
    publishing.control("POST", "/jobs/evented", {"outcome": "Failed"})
    submit(workspace_client(), chat_job(registry_client(), "evented", faq_files))
    publishing.wait_until_idle()
    assert {event["eventType"].rsplit(".", 1)[1] for event in topic.events} == {"RunStatusChanged"}
    assert topic.events[-1]["data"]["runStatus"] == "Failed"
