"""Telling a topic: true events over real HTTP, and that a topic that does not listen stops nothing."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from shared.azure import notifications
from shared.config.settings import Settings
from shared.ledger.engine import Notify

KEY = "the-secret-key"
CHANGE = ("snapshot/a", "TRAINING", "TRAINED", "job x completed")


class Topic(HTTPServer):
    """An Event Grid topic that answers with `status` and keeps what it was sent."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.received: list[tuple[dict[str, str], list[dict[str, Any]]]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/events"


class _Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Topic)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(({k.lower(): v for k, v in self.headers.items()}, json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def topic() -> Iterator[Topic]:
    with Topic() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _notifier(address: str) -> Notify:
    ids = {"azure_subscription_id": "s", "azure_resource_group": "g", "azureml_workspace": "w", "data": "x"}
    given: dict[str, Any] = {**ids, "notify_topic": address, "notify_key": KEY if address else None}
    nobody: Any = None
    return notifications.notifier(Settings(**given), nobody)


def test_every_change_is_one_event_with_its_key_and_both_states(topic: Topic) -> None:
    _notifier(topic.address)(*CHANGE)
    ((headers, events),) = topic.received
    (event,) = events
    assert headers["aeg-sas-key"] == KEY
    assert (event["subject"], event["eventType"], event["dataVersion"]) == ("snapshot/a", "Droptune.StateChanged", "1")
    assert event["data"] == {"key": "snapshot/a", "from": "TRAINING", "to": "TRAINED", "reason": "job x completed"}
    assert event["id"]
    assert event["eventTime"]


def test_each_telling_is_an_event_of_its_own(topic: Topic) -> None:
    tell = _notifier(topic.address)
    tell(*CHANGE)
    tell(*CHANGE)
    assert len({events[0]["id"] for _, events in topic.received}) == 2


def test_without_a_topic_nothing_is_told() -> None:
    _notifier("")(*CHANGE)


@pytest.mark.parametrize("status", [401, 413, 500, 503])
def test_a_topic_that_refuses_is_asked_once_and_stops_nothing(
    topic: Topic, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="shared")
    topic.status = status
    _notifier(topic.address)(*CHANGE)
    assert len(topic.received) == 1
    (record,) = [record for record in caplog.records if record.name == notifications.__name__]
    assert record.levelname == "WARNING"
    assert "snapshot/a is TRAINED" in record.getMessage()
    assert KEY not in record.getMessage()


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/api/events", "no address at all"])
def test_a_topic_that_is_not_there_stops_nothing(address: str, caplog: pytest.LogCaptureFixture) -> None:
    _notifier(address)(*CHANGE)
    assert "was not told" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize(("status", "named"), [(401, True), (403, True), (404, False), (503, False)])
def test_a_topic_that_does_not_know_the_app_names_the_role_that_is_missing(
    topic: Topic, status: int, named: bool, caplog: pytest.LogCaptureFixture
) -> None:
    topic.status = status
    _notifier(topic.address)(*CHANGE)
    assert ("it needs the role EventGrid Data Sender on the topic" in caplog.text) is named
