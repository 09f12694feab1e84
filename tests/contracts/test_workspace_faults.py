"""Azure ML that is busy, cut off or makes no sense: each call, through the real SDK and the local Azure ML's faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.azure.workspace import Workspace
from shared.errors import AccessDenied, AzureRefused, PipelineError, ServiceBusy
from tests.contracts.workspaces import TAGS, AzureSide, Shop
from tests.fakes import GPU

READS: dict[str, Callable[[Workspace], Any]] = {
    "location": lambda w: w.location(),
    "base model": lambda w: w.registry.model("Phi-4", "8"),
    "component": lambda w: w.registry.component("chat_completion_pipeline", "0.0.82"),
    "sizes": lambda w: w.compute.sizes(),
    "usages": lambda w: w.quota.usages(),
    "compute": lambda w: w.compute.get("c"),
    "job": lambda w: w.jobs.get("j"),
    "model": lambda w: w.models.get("m", "1"),
    "endpoint": lambda w: w.endpoints.get("e"),
    "endpoints": lambda w: w.endpoints.list(),
    "key": lambda w: w.endpoints.key("e"),
    "deployment": lambda w: w.deployments.get("e", "d"),
    "deployments": lambda w: w.deployments.list("e"),
}
WRITES: dict[str, Callable[[Shop], Any]] = {
    "new compute": lambda shop: shop.workspace.compute.create(shop.id, GPU, 1, TAGS),
    "new endpoint": lambda shop: shop.workspace.endpoints.write(shop.id, TAGS, {}),
    "removed endpoint": lambda shop: shop.workspace.endpoints.delete("e"),
    "removed deployment": lambda shop: shop.workspace.deployments.delete("e", "d"),
    "canceled job": lambda shop: shop.workspace.jobs.cancel("j"),
}
BUSY: dict[str, dict[str, Any]] = {
    "503": {"status": 503},
    "503 in words": {"status": 503, "body": {"error": {"code": "ServiceUnavailable", "message": "later"}}},
    "429": {"status": 429, "headers": {"Retry-After": "9"}},
    "408": {"status": 408},
    "409": {"status": 409, "body": {"error": {"code": "Conflict", "message": "is being updated"}}},
    "500": {"status": 500},
    "504": {"status": 504},
    "cut off": {"close": True},
    "cut off after": {"close": True, "after": True},
}


def _side(shop: Shop) -> AzureSide:
    assert isinstance(shop.side, AzureSide)
    return shop.side


def _meet(shop: Shop, fault: dict[str, Any]) -> None:
    _side(shop).server.control("POST", "/faults", {"path": "(?<!endpoints)\\?|listKeys", "times": None, **fault})


def _warm(shop: Shop) -> None:
    """The clients are made: it is the calls that are tried."""
    for read in (READS["location"], READS["component"]):
        read(shop.workspace)


@pytest.mark.parametrize("fault", BUSY)
def test_a_service_that_is_busy_or_cut_off_is_temporary_for_each_read(azure_shop: Shop, fault: str) -> None:
    _warm(azure_shop)
    _meet(azure_shop, BUSY[fault])
    for name, read in READS.items():
        with pytest.raises(ServiceBusy) as busy:
            read(azure_shop.workspace)
        assert type(busy.value) is ServiceBusy, name
        assert busy.value.retry_after == (9 if fault == "429" else None), name


@pytest.mark.parametrize("fault", BUSY)
def test_a_service_that_is_busy_or_cut_off_is_temporary_for_each_write(azure_shop: Shop, fault: str) -> None:
    _warm(azure_shop)
    _meet(azure_shop, BUSY[fault])
    for name, write in WRITES.items():
        with pytest.raises(ServiceBusy) as busy:
            write(azure_shop)
        assert type(busy.value) is ServiceBusy, name


@pytest.mark.parametrize("status", [401, 403])
def test_a_role_that_is_missing_is_named_for_each_call(azure_shop: Shop, status: int) -> None:
    _warm(azure_shop)
    text = "The client 'x' does not have authorization to perform action 'a/b/read' over scope '/subscriptions/s'"
    _meet(azure_shop, {"status": status, "body": {"error": {"code": "AuthorizationFailed", "message": text}}})
    for read in READS.values():
        with pytest.raises(AccessDenied, match="a/b/read"):
            read(azure_shop.workspace)
    for write in WRITES.values():
        with pytest.raises(AccessDenied, match="a/b/read"):
            write(azure_shop)


NONSENSE: dict[str, Any] = {
    "a page": "<html>sign in to the network</html>",
    "nothing": "",
    "a list": [],
    "null": None,
    "empty": {},
}


@pytest.mark.parametrize("body", NONSENSE)
def test_an_answer_that_makes_no_sense_is_an_error_of_the_app_for_each_read(azure_shop: Shop, body: str) -> None:
    """Such as the page of a proxy in between; never taken for "there is no such thing"."""
    _warm(azure_shop)
    _meet(azure_shop, {"status": 200, "body": NONSENSE[body]})
    for name, read in READS.items():
        if name in ("endpoints", "deployments", "sizes", "usages") and body in ("empty", "null"):
            continue  # an empty page of a list is a list of nothing
        try:
            found = read(azure_shop.workspace)
        except PipelineError as error:
            refused = isinstance(error, AzureRefused)
        else:
            pytest.fail(f"{name} was taken for {found}")
        assert not refused, name
