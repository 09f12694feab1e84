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
from shared.azure import storage
from shared.azure.workspace import translation
from shared.errors import (
    AzureRefused,
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


LOST = [
    sdk.ServiceRequestError("x"),
    sdk.ServiceRequestTimeoutError("x"),
    sdk.ServiceResponseError("x"),
    sdk.ServiceResponseTimeoutError("x"),
    sdk.IncompleteReadError("x"),
]


@pytest.mark.parametrize("status", [403, 408, 409, 429, 500, 502, 503, 504])
def test_azure_ml_that_is_busy_or_not_yet_open_to_us_is_temporary(status: int) -> None:
    assert type(_mapped(translation.reading, _http(status))) is ServiceBusy


@pytest.mark.parametrize("status", [400, 404, 405, 410, 412, 422])
def test_what_azure_ml_refuses_is_permanent_with_its_words_and_without_colours(status: int) -> None:
    error = _mapped(translation.reading, _http(status))
    assert type(error) is AzureRefused
    assert f"HTTP {status}" in str(error)
    assert "no such luck" in str(error)
    assert "\x1b" not in str(error)


@pytest.mark.parametrize("error", LOST, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("edge", [translation.reading, storage._translated], ids=["azure ml", "storage"])
def test_an_answer_that_did_not_arrive_is_temporary(edge: Any, error: Exception) -> None:
    assert type(_mapped(edge, error)) is ServiceBusy


def test_an_identity_without_its_roles_is_temporary_and_named() -> None:
    error = _mapped(translation.reading, _http(401, sdk.ClientAuthenticationError))
    assert type(error) is ServiceBusy
    assert "roles" in str(error)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)])
def test_azure_mls_patience_is_kept(header: str, seconds: float | None) -> None:
    error = _mapped(translation.reading, _http(429, Retry_After=header))
    assert isinstance(error, ServiceBusy)
    assert error.retry_after == seconds


def test_what_the_sdk_itself_refuses_is_permanent() -> None:
    from azure.ai.ml.exceptions import MlException

    assert type(_mapped(translation.reading, MlException("bad input", "bad input"))) is AzureRefused


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (404, sdk.ResourceNotFoundError, NotFound),
        (409, sdk.ResourceExistsError, LedgerConflict),
        (412, sdk.ResourceModifiedError, LedgerConflict),
        (408, sdk.HttpResponseError, ServiceBusy),
        (429, sdk.HttpResponseError, ServiceBusy),
        (500, sdk.HttpResponseError, ServiceBusy),
        (502, sdk.HttpResponseError, ServiceBusy),
        (503, sdk.HttpResponseError, ServiceBusy),
        (504, sdk.HttpResponseError, ServiceBusy),
    ],
)
def test_storage_errors_become_ours(status: int, kind: Any, expected: type[PipelineError]) -> None:
    assert type(_mapped(storage._translated, _http(status, kind))) is expected


@pytest.mark.parametrize("edge", [translation.reading, storage._translated], ids=["azure ml", "storage"])
def test_a_defect_of_ours_passes_as_it_is(edge: Any) -> None:
    with pytest.raises(KeyError), edge("the thing"):
        raise KeyError("x")
