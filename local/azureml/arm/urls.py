"""Addresses of the app, of system topics and their subscriptions, and of a workspace that begins or ends.

Assumptions: `arm-app`, `arm-subscriptions`, `workspace-purge`, `roles`.
"""

from __future__ import annotations

from local.azureml.arm import responses
from local.azureml.wire.routing import WORKSPACE, guarded

_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers"
_SITE = _GROUP + "/Microsoft.Web/sites/{site}"
_ALL_TOPICS = "/subscriptions/{subscription}/providers/Microsoft.EventGrid/systemTopics"
_TOPIC = _GROUP + "/Microsoft.EventGrid/systemTopics/{topic}"
_SUBSCRIPTION = _TOPIC + "/eventSubscriptions/{name}"
_TOPICS_ACTION = "Microsoft.EventGrid/systemTopics"
_ACTION = "Microsoft.EventGrid/systemTopics/eventSubscriptions"

# What only somebody who deploys asks for is not held against the roles that the app has.
routes = [
    guarded("GET", _SITE + "/functions", responses.list_functions, action=""),
    guarded("POST", _SITE + "/host/default/listKeys", responses.list_keys, action=""),
    guarded("GET", _ALL_TOPICS, responses.list_topics, action=f"{_TOPICS_ACTION}/read"),
    guarded("GET", _TOPIC, responses.get_topic, action=f"{_TOPICS_ACTION}/read"),
    guarded("DELETE", _TOPIC, responses.delete_topic, action=""),
    guarded("GET", _TOPIC + "/eventSubscriptions", responses.list_subscriptions, action=f"{_ACTION}/read"),
    guarded("GET", _SUBSCRIPTION, responses.get_subscription, action=f"{_ACTION}/read"),
    guarded("PUT", _SUBSCRIPTION, responses.put_subscription, action=""),
    guarded("DELETE", _SUBSCRIPTION, responses.delete_subscription, action=""),
    guarded("DELETE", WORKSPACE, responses.delete_workspace, action="", after_its_end=True),
    guarded("PUT", WORKSPACE, responses.put_workspace, action="", after_its_end=True),
]
