"""Refusals of Azure Monitor."""

from __future__ import annotations

from local.azureml.wire.errors import BadArgument


class BadQuery(BadArgument):
    """A query that names an unknown namespace, metric, dimension or time."""

    code = "BadRequest"
