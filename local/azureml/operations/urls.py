"""Addresses that `Azure-AsyncOperation` headers point to."""

from __future__ import annotations

from local.azureml.operations import responses
from local.azureml.wire.routing import guarded

routes = [guarded("GET", responses.PATH, responses.get)]
