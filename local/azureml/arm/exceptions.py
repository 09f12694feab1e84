"""Refusals of what surrounds the workspace."""

from __future__ import annotations

from local.azureml.wire.errors import Conflict, WireError


class NoSuchFunction(WireError):
    """A subscription's destination has to be there: functions are, once the app's code is deployed."""

    code = "Endpoint validation"


class SubscriptionRefused(WireError):
    """The broker did not take the subscription, or its form is not imitated."""

    code = "InvalidRequest"


class SoftDeleted(Conflict):
    """A workspace that was deleted without being purged keeps its name for 14 days."""

    def __init__(self) -> None:
        super().__init__("Soft-deleted workspace exists. Please purge or recover it. https://aka.ms/wsoftdelete")
