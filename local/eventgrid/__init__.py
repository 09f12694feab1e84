"""Event Grid on one machine: topics, subscriptions and deliveries as the service makes them.

`app` is the wire format, `broker` and `delivery` the rules, `storage_events` the source of storage events.
What it leaves out is listed in docs/local-cloud.md.

Assumptions: `event-delivery`, `blob-events`, `topic-cloudevents`.
"""
