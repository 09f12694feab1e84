"""The address behind every endpoint's scoringUri, and its control.

Assumptions: `endpoint-front`, `endpoint-paths`.
"""

from __future__ import annotations

from local.azureml.scoring.proxy import score
from local.azureml.scoring.responses import get_serving, put_serving
from local.azureml.wire.routing import unguarded

routes = [
    unguarded("POST", "/endpoints/{endpoint}/score", score),
    # Managed endpoints pass other paths on to the container.
    unguarded("POST", "/endpoints/{endpoint}/{path:path}", score),
    unguarded("GET", "/_control/serving", get_serving),
    unguarded("PUT", "/_control/serving", put_serving),
]
