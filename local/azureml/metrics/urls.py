"""Address of Azure Monitor's batch query."""

from __future__ import annotations

from local.azureml.metrics import responses
from local.azureml.wire.routing import guarded, unguarded

routes = [
    guarded(
        "POST",
        "/subscriptions/{subscription}/metrics:getBatch",
        responses.get_batch,
        extra_audiences=["https://metrics.monitor.azure.com"],
    ),
    unguarded("POST", "/_control/metrics", responses.record),
]
