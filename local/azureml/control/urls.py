"""Addresses of the control API; those for one resource stand in its own folder."""

from __future__ import annotations

from local.azureml.control import responses
from local.azureml.wire.routing import unguarded

routes = [
    unguarded("GET", "/_control/settings", responses.get_settings),
    unguarded("PUT", "/_control/settings", responses.put_settings),
    unguarded("PUT", "/_control/pace", responses.put_pace),
    unguarded("POST", "/_control/clock", responses.advance_clock),
    unguarded("POST", "/_control/faults", responses.add_fault),
    unguarded("GET", "/_control/faults", responses.list_faults),
    unguarded("DELETE", "/_control/faults", responses.clear_faults),
    unguarded("GET", "/_control/faults/{id}/reached", responses.reached),
    unguarded("POST", "/_control/faults/{id}/release", responses.release),
    unguarded("GET", "/_control/requests", responses.list_requests),
    unguarded("DELETE", "/_control/requests", responses.clear_requests),
    unguarded("GET", "/_control/idle", responses.idle),
]
