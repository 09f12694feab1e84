"""What the Event Grid broker does to deliveries on request."""

from __future__ import annotations

from azure.core.credentials import AzureKeyCredential
from azure.eventgrid import EventGridEvent, EventGridPublisherClient

from tests.local.brokers import KEY, BrokerProcess
from tests.local.webhooks import Webhook


def publish(broker: BrokerProcess, *subjects: str, event_type: str = "Thing.Happened", topic: str = "custom") -> None:
    with EventGridPublisherClient(broker.topic(topic), AzureKeyCredential(KEY)) as client:
        for subject in subjects:
            client.send(EventGridEvent(subject=subject, event_type=event_type, data={}, data_version="1"))


def subjects(webhook: Webhook) -> list[str]:
    return [received.event["subject"] for received in webhook.received]


def test_duplicates_carry_the_same_id(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("all", webhook.url)
    broker.faults(duplicate=2)
    publish(broker, "a")
    assert broker.settle()
    assert subjects(webhook) == ["a", "a", "a"]
    assert len({received.event["id"] for received in webhook.received}) == 1


def test_dropped_events_are_lost_and_the_others_come(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("all", webhook.url)
    broker.faults(drop=["^Secret", "lost$"])
    publish(broker, "secret", event_type="Secret.Thing")
    publish(broker, "a/lost", "kept")
    assert broker.settle()
    assert subjects(webhook) == ["kept"]
    assert len(broker.deliveries(state="lost", subscription="all")) == 2


def test_held_events_come_on_release_in_the_order_asked_for(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("all", webhook.url)
    broker.faults(hold=True)
    publish(broker, "a", "b", "c")
    assert not broker.settle(timeout=0.1)
    assert webhook.received == []
    assert broker.client.post("/release", params={"order": "newest_first"}).json() == {"released": 3}
    assert broker.settle()
    assert subjects(webhook) == ["c", "b", "a"]


def test_ending_the_faults_lets_held_events_go(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("all", webhook.url)
    broker.faults(hold=True)
    publish(broker, "a", "b")
    broker.faults()
    assert broker.settle()
    assert subjects(webhook) == ["a", "b"]


def test_reordered_events_come_newest_first(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("all", webhook.url)
    broker.faults(reorder=True)
    publish(broker, "a", "b", "c")
    assert broker.settle()
    assert subjects(webhook) == ["c", "b", "a"]


def test_delayed_events_come_late(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("all", webhook.url)
    broker.faults(delay_seconds=2)
    publish(broker, "a")
    assert not broker.settle(timeout=0.05)
    assert broker.settle()
    assert subjects(webhook) == ["a"]


def test_faults_can_be_kept_to_a_topic(broker: BrokerProcess, webhook: Webhook) -> None:
    broker.subscribe("one", webhook.url)
    broker.subscribe("two", webhook.url, topic="other")
    broker.faults(drop=["."], topics=["other"])
    publish(broker, "x", topic="other")
    publish(broker, "a")
    assert broker.settle()
    assert subjects(webhook) == ["a"]


def test_unknown_faults_are_refused(broker: BrokerProcess) -> None:
    answer = broker.client.put("/faults", json={"dupliacte": 1})
    assert answer.status_code == 400
    assert "dupliacte" in answer.json()["error"]["message"]
