"""Address of Azure Monitor's batch query.

Assumptions: `metrics-batch`.
"""

from __future__ import annotations

from local.azureml.identity.exceptions import NotAuthorizedForMetrics
from local.azureml.metrics import responses
from local.azureml.wire.routing import guarded, unguarded

routes = [
    guarded(
        "POST",
        "/subscriptions/{subscription}/metrics:getBatch",
        responses.get_batch,
        extra_audiences=["https://metrics.monitor.azure.com"],
        # At the subscription, however few resources are asked about.
        action="Microsoft.Insights/metrics/read",
        refusal=NotAuthorizedForMetrics,
    ),
    unguarded("POST", "/_control/metrics", responses.record),
]
