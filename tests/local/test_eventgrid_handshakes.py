"""A subscription goes live only when its webhook has agreed."""

from __future__ import annotations

from typing import Any

import httpx
from azure.core.credentials import AzureKeyCredential
from azure.eventgrid import EventGridEvent, EventGridPublisherClient

from tests.local.brokers import KEY, BrokerProcess
from tests.local.webhooks import Webhook


def publish(broker: BrokerProcess) -> None:
    with EventGridPublisherClient(broker.topic("custom"), AzureKeyCredential(KEY)) as client:
        client.send(EventGridEvent(subject="s", event_type="t", data={}, data_version="1"))


def test_webhook_that_refuses_gets_no_subscription(broker: BrokerProcess) -> None:
    with Webhook(handshake="never") as unwilling:
        answer = broker.subscribe("all", unwilling.url)
    assert answer.status_code == 400
    assert "403" in answer.json()["error"]["message"]
    assert broker.client.get("/subscriptions").json() == []


def test_webhook_that_is_not_there_gets_no_subscription(broker: BrokerProcess) -> None:
    with Webhook() as gone:
        pass
    assert broker.subscribe("all", gone.url).status_code == 400


def test_webhook_may_agree_later_by_the_validation_address(broker: BrokerProcess) -> None:
    with Webhook(handshake="later") as slow:
        assert broker.subscribe("all", slow.url).json()["state"] == "AwaitingManualAction"
        publish(broker)
        assert broker.settle()
        assert slow.received == []
        assert httpx.get(slow.validation["validationUrl"]).status_code == 200
        publish(broker)
        slow.wait_for(1)


def test_nobody_else_can_agree_for_it(broker: BrokerProcess) -> None:
    with Webhook(handshake="later") as slow:
        broker.subscribe("all", slow.url)
        assert broker.client.get("/subscriptions/all/validate", params={"code": "guess"}).status_code == 400
        assert broker.client.get("/subscriptions").json()[0]["state"] == "AwaitingManualAction"


def test_cloud_events_webhook_is_asked_for_its_permission(broker: BrokerProcess, webhook: Webhook) -> None:
    assert broker.subscribe("all", webhook.url, schema="CloudEventSchemaV1_0").status_code == 200
    assert webhook.options["webhook-request-origin"] == "eventgrid.azure.net"


def test_mistakes_in_a_subscription_are_named(broker: BrokerProcess, webhook: Webhook) -> None:
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"schema": "Xml"}, "Xml"),
        ({"retries": {}}, "retries"),
        ({"advanced_filters": [{"operator": "Likes", "key": "data.x"}]}, "Likes"),
        ({"retry": {"attempts": 31}}, "31"),
    ]
    for described, named in mistakes:
        answer = broker.subscribe("all", webhook.url, **described)
        assert answer.status_code == 400
        assert named in answer.json()["error"]["message"]
