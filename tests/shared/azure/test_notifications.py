"""Telling a topic and a webhook: true CloudEvents over real HTTP, bounded, and nothing that goes wrong is raised."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from shared.azure import notifications
from shared.azure.notifications import TopicChannel, WebhookChannel, signature, signing_key
from shared.config.settings import Settings
from shared.ledger.outbox import Channel, Notice, SendResult

KEY, SECRET, SOURCE = "the-secret-key", "the-secret-of-the-webhook", "/droptune/0a1b2c3d"
NOBODY: Any = None


def a_notice(name: str = "n1", **data: Any) -> Notice:
    about = {"snapshot": "a", "state": "LIVE", "reason": "it answers", **data}
    return Notice(id=name, type="Droptune.SnapshotChanged", subject="snapshot/a", at=1_790_000_000.5, data=about)


class Listener(HTTPServer):
    """A topic or a webhook that answers with `statuses`, the last one for ever, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.statuses = [200]
        self.received: list[tuple[dict[str, str], bytes]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/events"


class _Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Listener)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(({k.lower(): v for k, v in self.headers.items()}, body))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("Location", self.server.address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _channels(**given: Any) -> dict[str, Channel]:
    ids: dict[str, Any] = {
        "azure_subscription_id": "s",
        "azure_resource_group": "g",
        "azureml_workspace": "w",
        "data": "x",
    }
    return notifications.channels(Settings(**ids, **given), NOBODY)


def test_those_are_told_whom_the_settings_name(listener: Listener) -> None:
    assert _channels() == {}
    both = _channels(notify_topic=listener.address, notify_webhook=listener.address, notify_webhook_secret=SECRET)
    assert sorted(both) == ["topic", "webhook"]


def test_a_topic_gets_all_in_one_request_as_cloud_events(listener: Listener) -> None:
    sent = TopicChannel(listener.address, KEY, NOBODY).send(SOURCE, [a_notice("n1"), a_notice("n2")])
    assert sent == SendResult(2)
    ((headers, body),) = listener.received
    first, second = json.loads(body)
    assert headers["aeg-sas-key"] == KEY
    assert headers["content-type"].startswith("application/cloudevents-batch+json")
    assert (first["id"], second["id"]) == ("n1", "n2")
    assert first == {
        "specversion": "1.0",
        "id": "n1",
        "source": SOURCE,
        "type": "Droptune.SnapshotChanged",
        "subject": "snapshot/a",
        "time": first["time"],
        "datacontenttype": "application/json",
        "data": {"snapshot": "a", "state": "LIVE", "reason": "it answers"},
    }
    assert first["time"].startswith("2026-09-21T14:13:20.5")


@pytest.mark.parametrize("status", [301, 401, 413, 429, 500, 503])
def test_a_topic_that_refuses_is_asked_once(listener: Listener, status: int) -> None:
    listener.statuses = [status]
    sent = TopicChannel(listener.address, KEY, NOBODY).send(SOURCE, [a_notice()])
    assert (sent.done, bool(sent.error), KEY in sent.error) == (0, True, False)
    assert len(listener.received) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "has to be CloudEventSchemaV1_0"),
        (401, "EventGrid Data Sender"),
        (403, "EventGrid Data Sender"),
        (503, "503"),
    ],
)
def test_what_a_refusal_means_is_said(listener: Listener, status: int, words: str) -> None:
    listener.statuses = [status]
    assert words in TopicChannel(listener.address, KEY, NOBODY).send(SOURCE, [a_notice()]).error


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/api/events", "no address at all"])
def test_who_is_not_there_is_an_error_and_no_exception(address: str) -> None:
    assert TopicChannel(address, KEY, NOBODY).send(SOURCE, [a_notice()]).error
    assert WebhookChannel(address, SECRET).send(SOURCE, [a_notice()]).error


def test_a_webhook_gets_each_event_alone_and_signed(listener: Listener) -> None:
    sent = WebhookChannel(listener.address, SECRET, lambda: 1_790_000_009.9).send(
        SOURCE, [a_notice("n1"), a_notice("n2")]
    )
    assert sent == SendResult(2)
    assert [json.loads(body)["id"] for _, body in listener.received] == ["n1", "n2"]
    headers, body = listener.received[0]
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("n1", "1790000009")
    signed = hmac.new(SECRET.encode(), b"n1.1790000009." + body, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(signed).decode()}"


def test_a_signature_is_what_the_standards_own_libraries_make() -> None:
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    name, sent, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}'
    assert signature(key, name, sent, body) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 403, 404, 429, 500, 503])
def test_a_webhook_that_fails_is_asked_once_and_keeps_the_rest_waiting(listener: Listener, status: int) -> None:
    listener.statuses = [200, status]
    sent = WebhookChannel(listener.address, SECRET).send(SOURCE, [a_notice("n1"), a_notice("n2"), a_notice("n3")])
    assert sent == SendResult(1, 0, f"HTTP {status}")
    assert len(listener.received) == 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_event_that_a_webhook_does_not_want_does_not_stop_the_next(listener: Listener, status: int) -> None:
    listener.statuses = [status, 200]
    sent = WebhookChannel(listener.address, SECRET).send(SOURCE, [a_notice("n1"), a_notice("n2")])
    assert sent == SendResult(2, refused=1)


def test_a_secret_that_the_platform_could_not_read_signs_nothing(listener: Listener) -> None:
    reference = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s)"
    webhook = _channels(notify_webhook=listener.address, notify_webhook_secret=reference)["webhook"]
    assert "vault" in webhook.send(SOURCE, [a_notice()]).error
    assert listener.received == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"notify_webhook": "https://example.org/h"}, "NOTIFY_WEBHOOK_SECRET is missing"),
        ({"notify_webhook": "http://example.org/h", "notify_webhook_secret": SECRET}, "https://"),
        ({"notify_webhook": "https://", "notify_webhook_secret": SECRET}, "https://"),
        ({"notify_topic": "http://t.eventgrid.azure.net/api/events"}, "https://"),
        ({"notify_topic": "my-topic"}, "https://"),
        ({"notify_webhook": "https://example.org/h", "notify_webhook_secret": "short"}, "16 characters"),
    ],
)
def test_an_address_without_encryption_and_a_weak_secret_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        _channels(**given)
    assert "example.org" not in str(refused.value)
