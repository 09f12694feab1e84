"""The errors of the SDK and of Azure's HTTP surface, as errors of the app: what is worth another try and what is not.

Every call to Azure ML is made inside one of these: `reading` and `writing` for calls through the SDK, `asking` for
those without it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from shared.azure.retries import retry_after, worth_another_try
from shared.errors import DENIED, AccessDenied, AzureRefused, EndpointNameTaken, ServiceBusy
from shared.ledger import fence

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# "Endpoint name needs to be unique within a region", "Endpoint names must be unique within the region"
_TAKEN = re.compile(r"unique within (a|the) region", re.IGNORECASE)
# Such as the page of a proxy in between.
_NONSENSE = "the answer makes no sense: it is not that of Azure ML"
# "The same operation was sent twice": it is to be sent again a minute later.
_PASSING = ("OperationCanceled",)
# "The Resource 'Microsoft.MachineLearningServices/workspaces/w' under resource group 'g' was not found."
_NO_WORKSPACE = re.compile(r"workspaces/[^/']+' under resource group", re.IGNORECASE)


_MANUAL = "docs/operate.md has all roles"
_CHECK_ROLES = "the app's identity: check its roles"
# "... does not have authorization to perform action 'X' over scope 'Y' or the scope is invalid."
_REFUSED = re.compile(r"to perform action '(?P<action>[^']+)' over scope")
# Which role allows an action; the first pattern that fits counts.
_ROLES = (
    (r"Microsoft\.Insights/|locations/", "Monitoring Reader on the subscription"),
    (r"registries/", "AzureML Registry User on the registry"),
    (r"workspaces/read$", "Reader on the workspace or Monitoring Reader on the subscription"),
    (r"Microsoft\.ManagedIdentity/", "Managed Identity Operator on the identity"),
    (r"workspaces/computes/(write|delete)$", "AzureML Compute Operator on the workspace"),
    (r"", "AzureML Data Scientist on the workspace"),
)


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

    with asking(what):
        try:
            yield
        except MlException as error:
            raise AzureRefused(f"{what}: {_text(error)}") from error


@contextlib.contextmanager
def asking(what: str, role: str = "") -> Iterator[None]:
    """The same for the errors that every Azure client raises. `role`: what is missing if Azure does not say it."""
    from azure.core import exceptions as sdk

    try:
        yield
    except sdk.HttpResponseError as error:
        raise _http_error(what, error, role) from error
    except sdk.AzureError as error:
        raise ServiceBusy(f"{what}: Azure ML could not be reached ({type(error).__name__})") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if not _comes_from_an_sdk(error):
            raise
        raise ServiceBusy(f"{what}: {_NONSENSE} ({type(error).__name__})") from error


def _http_error(what: str, error: Any, role: str) -> Exception:
    from azure.core.exceptions import ClientAuthenticationError

    code, status = getattr(error.error, "code", "") or "", error.status_code
    message = f"{what}: HTTP {status} {code}: {_text(error)}"
    if isinstance(error, ClientAuthenticationError) or status in (401, 403):
        return AccessDenied(_denied(what, _text(error), role) or f"{message} ({_CHECK_ROLES})", retry_after(error))
    if worth_another_try(status) or code in _PASSING:
        return ServiceBusy(message, retry_after(error))
    return (EndpointNameTaken if _TAKEN.search(_text(error)) else AzureRefused)(message)


def _denied(what: str, text: str, role: str) -> str:
    """Which role is missing where, if that is known; short, because a row keeps its beginning."""
    found = _REFUSED.search(text)
    if not found:
        return f"{what}: {DENIED} read them: it needs the role {role} ({_MANUAL})" if role else ""
    action = found["action"].removeprefix("Microsoft.MachineLearningServices/")
    role = next(role for pattern, role in _ROLES if re.match(pattern, action))
    return f"{what}: {DENIED} do {action}: it needs the role {role} ({_MANUAL})"


def or_none[T](call: Callable[[], T], status: int = 404) -> T | None:
    """The call's result, or None when there is no such thing: which class the SDK raises depends on the look-up.

    That the whole workspace is not there says nothing about the thing.
    """
    from azure.ai.ml.exceptions import ValidationException
    from azure.core.exceptions import HttpResponseError

    try:
        return _whole(call())
    except HttpResponseError as error:
        if error.status_code == status and not _is_about_the_workspace(error):
            return None
        raise
    except ValidationException as error:
        if "does not exist" in str(error):
            return None
        raise


def _whole[T](found: T) -> T:
    """The same, unless it is the empty picture that the SDK makes of an empty answer."""
    if getattr(found, "name", "a list has none") is None:
        raise ServiceBusy(_NONSENSE)
    return found


def _comes_from_an_sdk(error: BaseException) -> bool:
    """Whether it was raised while an SDK read an answer, which then was none of the service's."""
    frame = error.__traceback__
    while frame is not None:
        if str(frame.tb_frame.f_globals.get("__name__", "")).startswith("azure."):
            return True
        frame = frame.tb_next
    return False


def _is_about_the_workspace(error: Any) -> bool:
    code = getattr(error.error, "code", "") or ""
    return code in ("ResourceGroupNotFound", "SubscriptionNotFound") or bool(_NO_WORKSPACE.search(_text(error)))


def state_of(entity: Any) -> str:
    """An entity's provisioning state as plain text."""
    return plain(entity.provisioning_state)


def plain(state: Any) -> str:
    """A state as plain text: the SDK's str enums print as `JobStatus.FAILED`."""
    return str(getattr(state, "value", state) or "")


def _text(error: Exception) -> str:
    return _COLOURS.sub("", str(getattr(error, "message", "") or error)).strip()[:600]
