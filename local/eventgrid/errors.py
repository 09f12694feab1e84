"""What a caller of the broker may have done wrong; `app` turns each into the service's kind of error answer."""

from __future__ import annotations


class RequestError(Exception):
    """Base: the wire code and status live on the class, the message says what was wrong."""

    code = "BadRequest"
    status = 400


class BadEvents(RequestError):
    """The body is not a list of events of either schema."""


class ImpossibleQuery(RequestError):
    """What is asked for cannot be there."""


class BadSubscription(RequestError):
    """The description of a subscription, or of faults, makes no sense."""

    code = "InvalidRequest"


class HandshakeFailed(RequestError):
    """The webhook did not prove that it wants the events."""

    code = "URL validation"


class WrongKey(RequestError):
    """The publisher's key is missing or wrong."""

    code = "Unauthorized"
    status = 401


class UnknownSubscription(RequestError):
    """There is no subscription of that name."""

    code = "ResourceNotFound"
    status = 404
