"""Each role of the manual taken away: which calls of the app are refused then, and which role each of them names.

Through the real SDK, over the local Azure ML's table of identity, scope and action. The expectations are the table on
docs/operate.md.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.identity import DefaultAzureCredential

from shared.azure.metrics import Metrics
from shared.azure.workspace import Workspace
from shared.azure.workspace.jobs import JobSpec
from shared.errors import AccessDenied, PipelineError
from tests.contracts.test_workspace_faults import READS, WRITES
from tests.contracts.workspaces import TAGS, AzureSide, Shop

SCIENTIST = "AzureML Data Scientist on the workspace"
OPERATOR = "AzureML Compute Operator on the workspace"
MONITORING = "Monitoring Reader on the subscription"
WORKSPACE_ITSELF = f"Reader on the workspace or {MONITORING}"
# With CREATE_COMPUTE; without it the second is not needed.
ALL = {"workspace": ["AzureML Data Scientist", "AzureML Compute Operator"], "subscription": ["Monitoring Reader"]}

type Call = Callable[[Shop, JobSpec], Any]


def _of_workspace(read: Callable[[Workspace], Any]) -> Call:
    return lambda shop, spec: read(shop.workspace)


def _of_shop(write: Callable[[Shop], Any]) -> Call:
    return lambda shop, spec: write(shop)


# Calls that are no reads of one thing, or need more than a name.
MORE: dict[str, Call] = {
    "metrics": lambda shop, spec: _metrics(shop).check_access(),
    "new job": lambda shop, spec: shop.workspace.jobs.submit(spec),
    "new model": lambda shop, spec: shop.workspace.models.register(shop.id, "1", f"{shop.id}-no-job", TAGS),
    "new deployment": lambda shop, spec: shop.workspace.deployments.create(
        shop.deployment(shop.workspace.models.id("m", "1"))
    ),
}
CALLS: dict[str, Call] = {
    **{name: _of_workspace(read) for name, read in READS.items()},
    **{name: _of_shop(write) for name, write in WRITES.items()},
    **MORE,
}
# What the scientist's role alone is for: the registry is public, and Monitoring Reader reads the rest.
_SCIENTISTS = {
    "key", "new endpoint", "removed endpoint", "removed deployment", "canceled job", "new job", "new model",
    "new deployment",
}  # fmt: skip
# Here the SDK looks at the workspace itself first.
_LOOK_AT_THE_WORKSPACE = {"location", "sizes", "usages", "new compute", "new endpoint", "new deployment"}
REMOVED: dict[str, tuple[dict[str, list[str]], dict[str, str]]] = {
    "nothing": (ALL, {}),
    "AzureML Data Scientist": (
        {**ALL, "workspace": ["AzureML Compute Operator"]},
        dict.fromkeys(_SCIENTISTS, SCIENTIST),
    ),
    "AzureML Compute Operator": ({**ALL, "workspace": ["AzureML Data Scientist"]}, {"new compute": OPERATOR}),
    "Monitoring Reader": (
        {**ALL, "subscription": []},
        {**dict.fromkeys(_LOOK_AT_THE_WORKSPACE, WORKSPACE_ITSELF), "metrics": MONITORING},
    ),
    "Monitoring Reader, with Reader on the workspace": (
        {"workspace": [*ALL["workspace"], "Reader"], "subscription": []},
        dict.fromkeys(("sizes", "usages", "metrics"), MONITORING),
    ),
}


def _metrics(shop: Shop) -> Metrics:
    assert isinstance(shop.side, AzureSide)
    given: Any = type("Given", (), {"metrics_endpoint": shop.side.server.base})
    return Metrics(given, DefaultAzureCredential(), shop.workspace)


@pytest.mark.parametrize("removed", REMOVED)
def test_a_role_that_is_removed_is_named_by_each_call_that_needs_it_and_by_no_other(
    azure_shop: Shop, removed: str
) -> None:
    roles, expected = REMOVED[removed]
    spec = azure_shop.spec()
    azure_shop.endpoint()  # a deployment is refused for want of one before anybody looks at roles
    assert isinstance(azure_shop.side, AzureSide)
    azure_shop.side.server.control("PUT", "/settings", {"roles": roles})
    refused: dict[str, str] = {}
    for name, call in CALLS.items():
        try:
            call(azure_shop, spec)
        except AccessDenied as error:
            refused[name] = str(error)
        except PipelineError:
            pass  # there is no such thing, which one is told only if one may ask
    named = {name: text.partition("it needs the role ")[2].partition(" (docs/")[0] for name, text in refused.items()}
    assert named == expected
    assert all(len(text) < 300 for text in refused.values()), "a row keeps its beginning only"


def test_the_manual_says_what_is_seen_without_each_role() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operate.md").read_text()
    table = page.partition("| role removed |")[2].partition("\n\n")[0]
    for role in (role for roles in ALL.values() for role in roles):
        assert f"\n| {role}" in table, role
    for role in (SCIENTIST, OPERATOR, MONITORING, WORKSPACE_ITSELF):
        assert f"it needs the role {role}" in table, role
