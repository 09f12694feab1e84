"""The tree of errors, and that both edges let none of the SDKs' errors through unmapped."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from azure.core import exceptions as sdk

from shared import errors
from shared.azure.storage import translation as storage
from shared.azure.workspace import translation
from shared.errors import (
    AccessDenied,
    AzureRefused,
    BlobUnreadable,
    ContainerNotFound,
    LedgerConflict,
    NotFound,
    PermanentError,
    PipelineError,
    ServiceBusy,
    TemporaryError,
)

# What azure-ai-ml warns about when it is first imported.
pytestmark = pytest.mark.filterwarnings(
    "ignore::marshmallow.warnings.RemovedInMarshmallow4Warning",
    "ignore::marshmallow.warnings.ChangedInMarshmallow4Warning",
)

CLASSES = {c.__name__: c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__}


def test_the_picture_of_the_tree_is_the_tree() -> None:
    """Depth in the picture is depth below PipelineError, and each stands below its own base."""
    drawn: list[str] = []
    lines = re.findall(r"^    ([│├└─ ]*)([A-Z]\w+)(?:\(\w+\))?(?: .*)?$", errors.__doc__ or "", re.MULTILINE)
    for indent, name in lines:
        depth = len(indent) // 4
        del drawn[depth:]
        if drawn:
            assert CLASSES[name].__base__ is CLASSES[drawn[-1]]
        drawn.append(name)
    assert {name for _, name in lines} == set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_is_temporary_or_permanent_or_about_the_ledger(name: str) -> None:
    kind = CLASSES[name]
    assert issubclass(kind, PipelineError)
    assert not (issubclass(kind, TemporaryError) and issubclass(kind, PermanentError))
    assert kind.__doc__


@pytest.mark.parametrize("name", [n for n, c in CLASSES.items() if issubclass(c, TemporaryError)])
def test_temporary_errors_say_when_to_come_back(name: str) -> None:
    kind: Any = CLASSES[name]
    assert kind("x", 5).retry_after == 5
    assert kind("x").retry_after is None


class _Response:
    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status_code, self.headers, self.reason = status, headers, "x"

    def text(self, *_: Any) -> str:
        return '{"error": {"code": "UserError", "message": "\\u001b[31mno such luck\\u001b[0m"}}'


def _http(status: int, kind: type[sdk.HttpResponseError] = sdk.HttpResponseError, **headers: str) -> Exception:
    response: Any = _Response(status, {name.replace("_", "-"): value for name, value in headers.items()})
    return kind(response=response)


def _mapped(edge: Callable[[str], AbstractContextManager[None]], error: Exception) -> PipelineError:
    with pytest.raises(PipelineError) as mapped, edge("the thing"):
        raise error
    assert mapped.value.__cause__ is error
    assert "the thing" in str(mapped.value)
    return mapped.value


def _classes(*modules: Any) -> list[type[Exception]]:
    """Every error class that these modules of the installed SDKs define."""
    found = {c for module in modules for _, c in inspect.getmembers(module, inspect.isclass)}
    return sorted((c for c in found if issubclass(c, sdk.AzureError)), key=lambda c: f"{c.__module__}.{c.__name__}")


def _bare(kind: type[Exception]) -> Exception:
    """An error of this class without an answer behind it, whatever its constructor wants."""
    error: Any = kind.__new__(kind)
    Exception.__init__(error, "x")
    error.message, error.error, error.response, error.status_code = "x", None, None, None
    return error  # type: ignore[no-any-return]


EDGES = pytest.mark.parametrize("edge", [translation.reading, storage.translated], ids=["azure ml", "storage"])


@EDGES
def test_no_error_of_an_sdk_escapes(edge: Any) -> None:
    """What the SDK itself refuses is permanent; whatever was lost on the way is not."""
    from azure import identity
    from azure.ai.ml import exceptions as ml
    from azure.storage import blob, queue

    found = _classes(sdk, ml, identity, blob, queue)
    names = {kind.__name__ for kind in found}
    assert {"AzureError", "DecodeError", "CredentialUnavailableError", "JobException"} <= names
    for kind in found:
        error = _mapped(edge, _bare(kind))
        refused = edge is translation.reading and issubclass(kind, ml.MlException)
        denied = issubclass(kind, sdk.ClientAuthenticationError)
        assert type(error) is (AzureRefused if refused else AccessDenied if denied else ServiceBusy), kind


@EDGES
def test_an_answer_that_says_yes_and_makes_no_sense_is_temporary(edge: Any) -> None:
    """Such as the page of a proxy in between."""
    assert type(_mapped(edge, _http(200, sdk.DecodeError))) is ServiceBusy


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_azure_ml_that_is_busy_is_temporary(status: int) -> None:
    assert type(_mapped(translation.reading, _http(status))) is ServiceBusy


@pytest.mark.parametrize(
    ("action", "role"),
    [
        ("Microsoft.MachineLearningServices/workspaces/jobs/write", "AzureML Data Scientist on the workspace"),
        ("Microsoft.MachineLearningServices/workspaces/onlineEndpoints/listKeys/action", "AzureML Data Scientist on"),
        ("Microsoft.MachineLearningServices/workspaces/computes/write", "AzureML Compute Operator on the workspace"),
        ("Microsoft.MachineLearningServices/workspaces/computes/read", "AzureML Data Scientist on the workspace"),
        ("Microsoft.MachineLearningServices/workspaces/read", "Reader on the workspace or Monitoring Reader on the"),
        ("Microsoft.MachineLearningServices/locations/usages/read", "Monitoring Reader on the subscription"),
        ("Microsoft.MachineLearningServices/locations/mfeOperationsStatus/read", "Monitoring Reader on the subscripti"),
        ("Microsoft.Insights/metrics/read", "Monitoring Reader on the subscription"),
        ("Microsoft.MachineLearningServices/registries/assets/read", "AzureML Registry User on the registry"),
    ],
)
def test_each_action_that_is_refused_names_the_role_that_allows_it(action: str, role: str) -> None:
    refused: Any = _http(403)
    refused.message = f"The client 'c' does not have authorization to perform action '{action}' over scope '/s'"
    error = _mapped(translation.reading, refused)
    assert type(error) is AccessDenied
    assert f"it needs the role {role}" in str(error)


@pytest.mark.parametrize("status", [400, 404, 405, 410, 412, 422])
def test_what_azure_ml_refuses_is_permanent_with_its_words_and_without_colours(status: int) -> None:
    error = _mapped(translation.reading, _http(status))
    assert type(error) is AzureRefused
    assert f"HTTP {status}" in str(error)
    assert "no such luck" in str(error)
    assert "\x1b" not in str(error)


@EDGES
@pytest.mark.parametrize("status", [401, 403])
def test_an_identity_without_its_roles_is_temporary_and_named(edge: Any, status: int) -> None:
    """New roles take minutes to count."""
    for kind in (sdk.HttpResponseError, sdk.ClientAuthenticationError):
        error = _mapped(edge, _http(status, kind))
        assert type(error) is AccessDenied
        assert "role" in str(error) or "it needs" in str(error)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)])
@EDGES
def test_the_retry_after_of_an_answer_is_kept(edge: Any, header: str, seconds: float | None) -> None:
    error = _mapped(edge, _http(429, Retry_After=header))
    assert isinstance(error, ServiceBusy)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "BlobNotFound", NotFound),
        (404, "", NotFound),
        (404, "ContainerNotFound", ContainerNotFound),
        (404, "QueueNotFound", ContainerNotFound),
        (409, "BlobAlreadyExists", LedgerConflict),
        (409, "ContainerAlreadyExists", LedgerConflict),
        (412, "ConditionNotMet", LedgerConflict),
        (412, "LeaseIdMissing", AzureRefused),
        (409, "BlobArchived", BlobUnreadable),
        (409, "BlobBeingRehydrated", BlobUnreadable),
        (409, "BlobUsesCustomerSpecifiedEncryption", BlobUnreadable),
        (409, "BlobImmutableDueToPolicy", AzureRefused),
        (409, "ContainerBeingDeleted", ServiceBusy),
        (409, "QueueBeingDeleted", ServiceBusy),
        (409, "OperationTimedOut", ServiceBusy),
        (409, "", ServiceBusy),
        (400, "InvalidBlockList", AzureRefused),
        (400, "InvalidInput", AzureRefused),
        (408, "", ServiceBusy),
        (429, "", ServiceBusy),
        (500, "OperationTimedOut", ServiceBusy),
        (503, "ServerBusy", ServiceBusy),
    ],
)
@pytest.mark.parametrize(
    "kind", [sdk.HttpResponseError, sdk.ResourceExistsError, sdk.ResourceNotFoundError, sdk.ResourceModifiedError]
)
def test_what_storage_says_decides_and_not_the_class_of_the_sdk(
    status: int, code: str, kind: Any, expected: type[PipelineError]
) -> None:
    error = _mapped(storage.translated, _http(status, kind, x_ms_error_code=code))
    assert type(error) is expected
    if expected in (BlobUnreadable, AzureRefused):
        assert code in str(error)


@EDGES
def test_a_defect_of_ours_passes_as_it_is(edge: Any) -> None:
    with pytest.raises(KeyError), edge("the thing"):
        raise KeyError("x")
