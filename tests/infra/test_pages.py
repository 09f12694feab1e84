"""The pages on deploying and on security say what the templates and hooks do, in commands that there are."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.infra import bicep
from tests.infra.test_roles import assignments

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
sys.path.insert(0, str(INFRA / "hooks"))
import subscriptions  # type: ignore[import-not-found]  # noqa: E402

# The commands of azd that the pages use, as its reference has them (Azure/azure-dev, 2026-08): azd cannot be had here.
AZD = {
    "auth login", "up", "provision", "deploy", "down --purge", "down", "env set", "env get-value", "env delete",
    "hooks run postdeploy", "pipeline config", "env get-values", "package",
}  # fmt: skip


def test_every_variable_of_the_template_is_on_the_page() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    variables = re.findall(r"\$\{([A-Z_]+)", (INFRA / "main.parameters.json").read_text("utf-8"))
    assert [name for name in variables if f"`{name}`" not in page] == []


def test_the_commands_of_the_page_make_what_the_hook_makes() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    for function, (name, wanted) in subscriptions.SUBSCRIPTIONS.items():
        command = re.search(rf"event-subscription create --name {name} (?:.*\\\n)*.*", page)
        assert command is not None
        assert f"/functions/{function}" in command[0]
        for kind in wanted["includedEventTypes"]:
            assert kind in command[0]
        for one in wanted.get("advancedFilters", ()):
            assert f"{one['key']} {one['operatorType']} {' '.join(one['values'])}" in command[0]
        assert wanted.get("subjectBeginsWith", "") in command[0]


def test_the_page_of_security_lists_the_roles_that_are_assigned() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    assert [one.role for one in assignments(INFRA) if one.role not in page] == []


def test_every_test_that_the_page_of_security_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", (ROOT / "docs" / "security.md").read_text("utf-8"))
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_outputs_that_the_page_asks_for_are_written() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    outputs = bicep.read(INFRA / "main.bicep").outputs
    assert set(re.findall(r"azd env get-value (\w+)", page)) <= set(outputs)


def test_the_costs_of_a_month_are_added_up() -> None:
    from scripts import costs

    found = costs.table(dict.fromkeys(costs.EXAMPLE, 1.0))
    assert f"**{sum(item.busy for item in costs.ITEMS):,.2f}**" in found
    assert len(costs.table().splitlines()) == len(costs.ITEMS) + 2


@pytest.mark.parametrize("name", ["check", "deploy"])
def test_the_workflows_are_yaml_and_run_what_there_is(name: str) -> None:
    found = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text("utf-8"))
    steps = [step for job in found["jobs"].values() for step in job["steps"]]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    made = {word for step in steps for word in re.findall(r"^make ([a-z-]+)", step.get("run", ""), re.MULTILINE)}
    assert made <= targets
    assert all("uses" in step or "run" in step for step in steps)


def test_azd_is_asked_for_what_it_knows() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("deploy", "security", "operate"))]
    texts = [path.read_text("utf-8") for path in pages]
    texts += [path.read_text("utf-8") for path in [*INFRA.glob("hooks/*.py"), *ROOT.glob(".github/workflows/*.yml")]]
    texts += [path.read_text("utf-8") for path in ROOT.glob("shared/operations/doctor/*.py")]
    blocks = [block for text in texts for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)]
    used = {found for text in texts for found in re.findall(r'(?:[`"(]|run: )azd ([a-z][a-z -]*[a-z])', text)}
    used |= {found for block in blocks for found in re.findall(r"^azd ([a-z][a-z -]*[a-z])", block, re.MULTILINE)}
    assert len(used) > 8
    assert [one for one in sorted(used) if not any(f"{one} ".startswith(f"{known} ") for known in AZD)] == []
