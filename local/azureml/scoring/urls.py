"""The address behind every endpoint's scoringUri."""

from __future__ import annotations

from local.azureml.scoring.proxy import score
from local.azureml.wire.routing import unguarded

routes = [unguarded("POST", "/endpoints/{endpoint}/score", score)]
