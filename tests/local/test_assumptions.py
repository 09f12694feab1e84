"""What is assumed about Azure: each assumption has its code and test, each part of the local cloud names its own."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from local.azureml.app import SERVICES
from local.azureml.control import urls as control
from local.azureml.identity import urls as identity

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "assumptions.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| `")]
# Every part that speaks a wire protocol of Azure's; the control API is this project's own.
PARTS = [
    *(Path(str(service.__file__)) for service in (*SERVICES, identity) if service is not control),
    *(ROOT / "local" / part / "__init__.py" for part in ("azureml/serving", "azureml/events", "eventgrid", "host")),
    # Azurite is Microsoft's; what the tests put in its place is not.
    *(
        ROOT / "tests" / part
        for part in (
            "fake_storage.py",
            "contracts/hierarchical.py",
            "contracts/fault_proxy.py",
            "shared/azure/test_clouds.py",
            "hub_server.py",
            "cli/test_prices.py",
            "shared/operations/test_costs.py",
        )
    ),
]


def named_by(part: Path) -> set[str]:
    """The assumptions in the head of a module, one line or more."""
    head = ast.get_docstring(ast.parse(part.read_text("utf-8"))) or ""
    found = re.search(r"^Assumptions: (.*?)\.$", head, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([a-z-]+)`", found[1])) if found else set()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_an_assumption_says_where_it_was_read_and_when_who_relies_on_it_and_what_imitates_it(row: list[str]) -> None:
    assert len(row) == 6
    name, what, source, code, imitated, noticed = row
    assert re.fullmatch(r"`[a-z-]+`", name)
    assert what
    assert source
    assert noticed
    for path in re.findall(r"`([\w/.]+)`", f"{code} {imitated}"):
        assert (ROOT / path).exists(), path
    assert imitated.startswith("`tests/")


def test_assumptions_have_different_names() -> None:
    names = [row[0] for row in ROWS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: str(part.relative_to(ROOT)))
def test_each_part_of_the_local_cloud_names_what_it_assumes(part: Path) -> None:
    known = {row[0].strip("`") for row in ROWS}
    assert named_by(part)
    assert named_by(part) - known == set()


def test_each_assumption_is_named_by_a_part_of_the_local_cloud() -> None:
    named = {name for part in PARTS for name in named_by(part)}
    assert {row[0].strip("`") for row in ROWS} == named
