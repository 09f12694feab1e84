"""The errors of the SDK and of Azure's HTTP surface, as errors of the app: what is worth another try and what is not.

Every call to Azure ML is made inside one of these: `reading` and `writing` for calls through the SDK, `asking` for
those without it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from shared.errors import AzureRefused, EndpointNameTaken, ServiceBusy
from shared.ledger import fence

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# "Endpoint name needs to be unique within a region", "Endpoint names must be unique within the region"
_TAKEN = re.compile(r"unique within (a|the) region", re.IGNORECASE)
# "The same operation was sent twice": it is to be sent again a minute later.
_PASSING = ("OperationCanceled",)


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Around a write: it is sent only under a lease that is still held. Raises LeaseHeld."""
    fence.check()
    with reading(what):
        yield


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns the SDK's errors into the app's, cause attached and colour codes removed."""
    from azure.ai.ml.exceptions import MlException

    try:
        with asking(what):
            yield
    except MlException as error:
        raise AzureRefused(f"{what}: {_text(error)}") from error


@contextlib.contextmanager
def asking(what: str) -> Iterator[None]:
    """The same for the errors that every Azure client raises."""
    from azure.core import exceptions as sdk

    try:
        yield
    except sdk.ClientAuthenticationError as error:
        raise ServiceBusy(f"{what}: the app's identity was not accepted (check its roles): {_text(error)}") from error
    except (sdk.ServiceRequestError, sdk.ServiceResponseError, sdk.IncompleteReadError) as error:
        raise ServiceBusy(f"{what}: Azure ML could not be reached ({type(error).__name__})") from error
    except sdk.HttpResponseError as error:
        code = getattr(error.error, "code", "") or ""
        status = error.status_code or 0
        if status in (401, 403, 408, 409, 429) or status >= 500 or code in _PASSING:
            raise ServiceBusy(f"{what}: HTTP {status} {code}: {_text(error)}", _retry_after(error)) from error
        refused = EndpointNameTaken if _TAKEN.search(_text(error)) else AzureRefused
        raise refused(f"{what}: HTTP {status} {code}: {_text(error)}") from error


def or_none[T](call: Callable[[], T], status: int = 404) -> T | None:
    """The call's result, or None when there is no such thing: which class the SDK raises depends on the look-up."""
    from azure.ai.ml.exceptions import ValidationException
    from azure.core.exceptions import HttpResponseError

    try:
        return call()
    except HttpResponseError as error:
        if error.status_code == status:
            return None
        raise
    except ValidationException as error:
        if "does not exist" in str(error):
            return None
        raise


def state_of(entity: Any) -> str:
    """An entity's provisioning state as plain text."""
    return plain(entity.provisioning_state)


def plain(state: Any) -> str:
    """A state as plain text: the SDK's str enums print as `JobStatus.FAILED`."""
    return str(getattr(state, "value", state) or "")


def _retry_after(error: Any) -> float | None:
    """The Retry-After of an answer, in seconds."""
    headers = getattr(error.response, "headers", None) or {}
    with contextlib.suppress(TypeError, ValueError):
        return float(headers.get("Retry-After", ""))
    return None


def _text(error: Exception) -> str:
    return _COLOURS.sub("", str(getattr(error, "message", "") or error)).strip()[:600]
