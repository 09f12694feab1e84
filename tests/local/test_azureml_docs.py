"""The coverage page names every address that the code answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.azureml.app import SERVICES
from local.azureml.identity import urls as identity
from local.azureml.operations.responses import PATH as OPERATIONS
from local.azureml.tracking.urls import PATH as MLFLOW
from local.azureml.wire.routing import LOCATION, WORKSPACE

PAGE = (Path(__file__).parents[2] / "docs" / "local-azureml.md").read_text()
SHORT = (
    (f"/history/v1.0{WORKSPACE}", "{history}"),
    (f"{MLFLOW}/api/2.0/mlflow", "{mlflow}"),
    (WORKSPACE, "{ws}"),
    (LOCATION, "{location}"),
    ("/subscriptions/{subscription}/resourceGroups/{group}/providers", "{providers}"),
    (OPERATIONS.replace("{key:path}", ""), "{operations}/"),
)


def shown(path: str) -> str:
    """A route's path as the page writes it."""
    for long, short in SHORT:
        path = path.replace(long, short)
    path = re.sub(r"^/mferp/.+/registries/\{registry\}", "{registry}", path)
    return path.replace(":path}", "}")


def addresses() -> list[str]:
    """Method and path of every route."""
    routes = [route for service in (*SERVICES, identity) for route in service.routes]
    return sorted(
        {f"{method} {shown(route.path)}" for route in routes for method in route.methods or () if method != "HEAD"}
    )


@pytest.mark.parametrize("address", addresses())
def test_page_names_the_address(address: str) -> None:
    assert f"`{address}`" in PAGE


def test_page_names_no_address_that_is_not_there() -> None:
    named = re.findall(r"`((?:GET|PUT|POST|PATCH|DELETE) [^`]+)`", PAGE)
    assert sorted(set(named) - set(addresses())) == []
