"""The Event Grid broker seen from both its sides: the real publisher client, and a real webhook."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from azure.storage.blob import BlobServiceClient

from shared.azure.notifications import TopicChannel
from shared.ledger.outbox import Notice, SendResult
from tests.conftest import Azurite
from tests.local.brokers import KEY, BrokerProcess
from tests.local.webhooks import Webhook


def publish(broker: BrokerProcess, *events: Any, topic: str = "custom", key: str = KEY) -> None:
    with EventGridPublisherClient(broker.topic(topic), AzureKeyCredential(key), retry_total=0) as client:
        client.send(list(events))


def an_event(subject: str = "things/1", event_type: str = "Thing.Happened", data: Any = None) -> EventGridEvent:
    return EventGridEvent(subject=subject, event_type=event_type, data=data or {"n": 1}, data_version="1.0")


def test_event_grid_event_arrives_as_the_service_sends_it(broker: BrokerProcess, webhook: Webhook) -> None:
    assert broker.subscribe("all", webhook.url).status_code == 200
    event = an_event()
    publish(broker, event)
    (received,) = webhook.wait_for(1)
    assert received.event == {
        "id": str(event.id),
        "topic": "custom",
        "subject": "things/1",
        "eventType": "Thing.Happened",
        "eventTime": received.event["eventTime"],
        "data": {"n": 1},
        "dataVersion": "1.0",
        "metadataVersion": "1",
    }
    assert received.headers["aeg-event-type"] == "Notification"
    assert received.headers["aeg-subscription-name"] == "ALL"
    assert received.headers["aeg-delivery-count"] == "0"


def test_events_published_together_arrive_one_by_one(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("all", webhook.url)
    publish(broker, an_event("a"), an_event("b"), an_event("c"))
    assert {received.event["subject"] for received in webhook.wait_for(3)} == {"a", "b", "c"}


def test_cloud_event_arrives_alone_and_not_in_an_array(broker: BrokerProcess, webhook: Webhook) -> None:
    assert broker.subscribe("all", webhook.url, schema="CloudEventSchemaV1_0").status_code == 200
    event = CloudEvent("/source", "Thing.Happened", data={"n": 1}, subject="s", extensions={"traceid": "t"})
    publish(broker, event)
    (received,) = webhook.wait_for(1)
    assert isinstance(received.body, dict)
    assert received.headers["content-type"].startswith("application/cloudevents+json")
    assert CloudEvent.from_dict(received.event).extensions == {"traceid": "t"}
    assert received.event["source"] == "/source"
    assert received.event["data"] == {"n": 1}


def test_what_the_app_tells_its_topic_arrives_as_it_was_told(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("people", webhook.url, topic="droptune", schema="CloudEventSchemaV1_0")
    nobody: Any = None
    told = [Notice(id=name, type="Droptune.X", subject="snapshot/a", at=1.0, data={"n": name}) for name in ("1", "2")]
    sent = TopicChannel(broker.topic("droptune"), KEY, nobody).send("/droptune/0a1b2c3d", told)
    assert sent == SendResult(2)
    received = webhook.wait_for(2)
    assert sorted(one.event["data"]["n"] for one in received) == ["1", "2"]
    assert {one.event["source"] for one in received} == {"/droptune/0a1b2c3d"}


def test_a_topic_of_cloud_events_takes_no_other(broker: BrokerProcess) -> None:
    with pytest.raises(HttpResponseError) as refused:
        publish(broker, an_event(), topic="droptune")
    assert refused.value.status_code == 400


def test_event_is_converted_to_the_schema_of_its_subscription(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("clouds", webhook.url, schema="CloudEventSchemaV1_0")
    event = an_event()
    publish(broker, event)
    (received,) = webhook.wait_for(1)
    converted: CloudEvent[Any] = CloudEvent.from_dict(received.event)
    assert (converted.id, converted.source, converted.type) == (str(event.id), "custom", "Thing.Happened")
    with Webhook() as other:
        broker.subscribe("grid", other.url)
        publish(broker, CloudEvent("/source", "Other.Thing", data=[1], subject="s"))
        back: Any = EventGridEvent.from_dict(other.wait_for(1)[0].event)
    assert (back.topic, back.event_type, back.data) == ("/source", "Other.Thing", [1])


def test_publisher_needs_the_key(broker: BrokerProcess) -> None:
    with pytest.raises(ClientAuthenticationError):
        publish(broker, an_event(), key="wrong")


def test_incomplete_event_is_refused_by_name(broker: BrokerProcess) -> None:
    with pytest.raises(HttpResponseError, match="eventTime"):
        publish(broker, {"id": "1", "subject": "s", "eventType": "t", "dataVersion": "1"})


def test_only_wanted_events_are_delivered(broker: BrokerProcess, webhook: Webhook) -> None:
    conditions: list[dict[str, Any]] = [{"operator": "StringIn", "key": "data.api", "values": ["PutBlob"]}]
    conditions += [{"operator": "NumberGreaterThan", "key": "Data.size", "value": 10}]
    broker.subscribe(
        "some",
        webhook.url,
        included_event_types=["Wanted"],
        subject_begins_with="/in/",
        subject_ends_with=".parquet",
        advanced_filters=conditions,
    )
    good = {"api": "putblob", "size": 11}
    wanted = an_event("/in/A.PARQUET", "wanted", good)
    publish(
        broker,
        an_event("/in/a.parquet", "Other", good),
        an_event("/out/a.parquet", "Wanted", good),
        an_event("/in/a.csv", "Wanted", good),
        an_event("/in/a.parquet", "Wanted", {**good, "api": "CreateFile"}),
        an_event("/in/a.parquet", "Wanted", {**good, "size": 10}),
        an_event("/in/a.parquet", "Wanted", {**good, "size": [11]}),
        wanted,
    )
    publish(broker, wanted, topic="another")
    assert broker.settle()
    assert [received.event["id"] for received in webhook.received] == [str(wanted.id)]


def test_failed_delivery_is_tried_again_until_it_is_taken(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("all", webhook.url)
    webhook.answer(500, 404, 302)
    event = an_event()
    publish(broker, event)
    assert broker.settle()
    assert [received.headers["aeg-delivery-count"] for received in webhook.received] == ["0", "1", "2", "3"]
    assert {received.event["id"] for received in webhook.received} == {str(event.id)}
    delivery = broker.deliveries(state="delivered")[-1]
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 404, 302, 200]


def test_settled_waits_for_what_is_tried_again(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("all", webhook.url, retry={"delays": [60]})
    webhook.answer(503)
    publish(broker, an_event())
    webhook.wait_for(1)
    assert not broker.settle(timeout=0.1)


@pytest.mark.parametrize("status", [400, 401, 403, 413])
def test_hopeless_answer_makes_a_dead_letter_at_once(
    broker: BrokerProcess, webhook: Webhook, azurite: Azurite, status: int
) -> None:
    container = f"letters-{status}"
    broker.subscribe("My-Sub", webhook.url, dead_letter={"container": container})
    webhook.answer(status)
    event = an_event()
    publish(broker, event)
    assert broker.settle()
    with BlobServiceClient.from_connection_string(azurite.connection_string) as storage:
        blobs = storage.get_container_client(container)
        (name,) = blobs.list_blob_names()
        (letter,) = json.loads(blobs.download_blob(name).readall())
    assert name.startswith("MY-SUB/2")
    assert letter["id"] == str(event.id)
    assert letter["deadLetterReason"].startswith("UndeliverableDueToHttp")
    assert (letter["deliveryAttempts"], letter["lastHttpStatusCode"]) == (1, status)
    assert len(webhook.received) == 1


def test_dead_letter_after_the_last_attempt_names_the_reason(broker: BrokerProcess, webhook: Webhook) -> None:
    retry = {"delays": [0.01], "attempts": 3}
    broker.subscribe(
        "clouds",
        webhook.url,
        schema="CloudEventSchemaV1_0",
        retry=retry,
        dead_letter={"container": "letters-attempts"},
    )
    webhook.answer(500, 500, 500)
    publish(broker, an_event())
    assert broker.settle()
    (letter,) = broker.client.get("/dead-letters").json()
    assert letter["events"][0]["deadletterreason"] == "MaxDeliveryAttemptsExceeded"
    assert letter["events"][0]["deliveryattempts"] == 3
    assert letter["events"][0]["lastdeliveryoutcome"] == "GenericError"


def test_event_that_has_grown_too_old_is_given_up(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("all", webhook.url, retry={"delays": [0.01], "ttl_minutes": 0.0001})
    webhook.answer(*[500] * 30)
    publish(broker, an_event())
    assert broker.settle()
    assert broker.deliveries(subscription="all")[-1]["state"] == "dropped"
    assert len(webhook.received) < 30


def test_unreachable_webhook_is_tried_again(broker: BrokerProcess) -> None:
    with Webhook() as gone:
        broker.subscribe("all", gone.url, retry={"delays": [0.01], "attempts": 2})
    publish(broker, an_event())
    assert broker.settle()
    attempts = broker.deliveries(subscription="all")[-1]["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == ["Aborted: ConnectError"] * 2


def test_release_ends_the_pause_before_the_next_attempt(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("all", webhook.url, retry={"delays": [60]})
    webhook.answer(503)
    publish(broker, an_event())
    webhook.wait_for(1)
    assert not broker.settle(timeout=0.1)
    broker.client.post("/release")
    assert broker.settle()
    assert len(webhook.received) == 2


def test_ended_subscription_gets_nothing_more(broker: BrokerProcess, webhook: Webhook) -> None:
    """Neither what was held for it nor what was to be tried again."""
    broker.subscribe("all", webhook.url, retry={"delays": [60]})
    webhook.answer(500)
    publish(broker, an_event())
    assert not broker.settle(timeout=0.1)
    broker.faults(hold=True)
    publish(broker, an_event())
    assert broker.client.delete("/subscriptions/all").status_code == 204
    assert broker.settle()
    assert len(webhook.received) == 1
