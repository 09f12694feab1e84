"""What the pages say, compared with the code: tables, pictures, routes, links, states, settings."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from scripts import docs
from shared.azure.storage import CONTAINERS
from shared.chatdata.formats import EXTENSIONS
from shared.config.hyperparameters import check_together, merged
from shared.config.options import parsed
from shared.config.settings import Settings, setting_name
from shared.ledger.rows import Check
from shared.ledger.states import DatasetState, ReleaseState, SnapshotState
from shared.serving.requests import ChatRequest, NativeRequest
from shared.snapshots.paths import MARKER, InvalidUpload, parse_path
from shared.validation.policy import Policy

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
FUNCTIONS = (ROOT / "docs" / "functions.md").read_text("utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
OPERATE = (ROOT / "docs" / "operate.md").read_text("utf-8")
DECISIONS = sorted(path for path in (ROOT / "docs" / "decisions").glob("*.md") if path.name != "README.md")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
# Schedules that no default has, so that it shows which timer follows which setting.
SCHEDULES = {"1 1 1 1 1 1": "SWEEP_SCHEDULE", "2 2 2 2 2 2": "SLEEP_SCHEDULE"}
# What the app answers at its own address.
ROOT_ROUTE = "{nothing:maxlength(0)?}"
INDEX = """
import json
import function_app
print(json.dumps([
    {"function": f.get_function_name(), **f.get_trigger().get_dict_repr()} for f in function_app.app.get_functions()
], default=lambda value: value.value))
"""


@cache
def functions() -> list[dict[str, Any]]:
    """The app's functions with their triggers, indexed in a process of its own."""
    ids = dict.fromkeys(("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE"), "none")
    timers = {name: schedule for schedule, name in SCHEDULES.items()}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATA": "x", **ids, **timers}
    done = subprocess.run(
        [sys.executable, "-c", INDEX], env=environment, capture_output=True, text=True, cwd=ROOT, check=True
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def routes() -> set[tuple[str, str]]:
    """Method and path of every HTTP function."""
    found = [f for f in functions() if "*" not in f.get("route", "*")]
    return {(method, f"/{f['route']}") for f in found if f["route"] != ROOT_ROUTE for method in f["methods"]}


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    section = page.split(f"\n## {heading}\n", 1)[1].splitlines()
    table = itertools.takewhile(_is_row, itertools.dropwhile(lambda line: not _is_row(line), section))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table][2:]


def _is_row(line: str) -> bool:
    return line.startswith("|")


def names(page: str, heading: str) -> list[str]:
    """The first column of that table, without code marks."""
    return [row[0].strip("` ") for row in rows(page, heading)]


def is_route(method: str, path: str) -> bool:
    """Whether a path, with values or variables in place of parameters, belongs to a function."""
    for known_method, known in routes():
        pattern = re.sub(r"\\\{\w+\\\}", r"[^/]+", re.escape(known))
        if method == known_method and re.fullmatch(pattern, path.split("?")[0]):
            return True
    return False


@pytest.mark.parametrize("page", docs.PAGES, ids=lambda p: p.name)
def test_generated_parts_are_what_the_code_says(page: Path) -> None:
    text = page.read_text("utf-8")
    assert docs.written(text) == text, "run: python -m scripts.docs"


def test_every_generated_part_stands_on_one_page() -> None:
    found = [name for page in docs.PAGES for name in re.findall(r"<!-- generated: ([a-z-]+) -->", page.read_text())]
    assert sorted(found) == sorted(docs.parts())


def setting_rows() -> list[list[str]]:
    """Every row of every table of docs/settings.md."""
    lines = [line for line in SETTINGS.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_setting_is_on_its_page_once_with_a_sentence_and_the_rooms_that_read_it() -> None:
    found = setting_rows()
    assert sorted(row[0].strip("` ") for row in found) == sorted(setting_name(name) for name in Settings.model_fields)
    assert [row for row in found if not row[2].endswith(".") or not row[3]] == []


def test_the_readme_shows_about_a_dozen_settings() -> None:
    assert 10 <= len(rows(README, "Settings")) <= 15


def test_every_default_on_the_page_can_be_given_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE"):
        monkeypatch.setenv(name, "x")
    wanted = Settings()
    for row in setting_rows():
        if row[1].startswith("`"):
            monkeypatch.setenv(row[0].strip("` "), row[1].strip("`"))
    assert Settings() == wanted


def test_settings_named_in_the_pages_exist() -> None:
    known = {setting_name(name) for name in Settings.model_fields}
    states = {*SnapshotState, *ReleaseState, *DatasetState}
    elsewhere = {"APP", "KEY", "SNAPSHOT", "STORAGE", "WORKSPACE", "FUNCTION_APP", MARKER, "ARM_CLOUD_METADATA_URL",
                 "REGISTRY_DISCOVERY_ENDPOINT_URL", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "REQUESTS_CA_BUNDLE",
                 "SSL_CERT_FILE", "DONE", "DECIDED_BY_USERS", "REMOVED", "PYTHON_ENABLE_INIT_INDEXING"}  # fmt: skip
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "operate.md", *DECISIONS):
        named = set(re.findall(r"`\$?([A-Z][A-Z_]{2,})`", page.read_text("utf-8")))
        assert named - known - states - elsewhere == set(), page


def test_the_functions_table_is_the_app() -> None:
    def trigger(function: dict[str, Any]) -> str:
        match function["type"]:
            case "eventGridTrigger":
                return "Event Grid"
            case "queueTrigger":
                return f"queue `{function['queueName']}`"
            case "timerTrigger":
                return f"timer `{SCHEDULES[function['schedule']]}`"
        if "*" in function["route"]:
            return "any other route"
        (method,) = function["methods"]
        return f"`{method} /`" if function["route"] == ROOT_ROUTE else f"`{method} /{function['route']}`"

    wanted = [(f"`{function['function']}`", trigger(function)) for function in functions()]
    assert sorted((row[0], row[1]) for row in rows(FUNCTIONS, "Functions")) == sorted(wanted)


def test_the_routes_that_the_platform_leaves_open_are_those_that_ask_and_health_and_the_page() -> None:
    checked_by_the_app = ("/api/v1/", "/api/score/", "/api/ui")
    open_routes = {path for _, path in routes() if path.startswith(checked_by_the_app)} | {
        "/api/health",
        "/api/openapi.json",
        "/api/{*path}",
        f"/{ROOT_ROUTE}",
    }
    assert {f"/{f['route']}" for f in functions() if f.get("authLevel") == "anonymous"} == open_routes


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_routes_named_in_a_page_exist(page: Path) -> None:
    for method, path in re.findall(r"\b(GET|POST|PUT|DELETE) (/api/[^\s`\"')]*)", page.read_text("utf-8")):
        assert is_route(method, path), f"{method} {path}"


def curls() -> list[str]:
    """Every curl command of the README, on one line."""
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("curl ")]


@pytest.mark.parametrize("command", curls())
def test_curl_examples_use_real_routes_with_their_key(command: str) -> None:
    path = re.search(r"\"\$APP(/api/[^\"]*)\"", command)
    assert path is not None
    assert is_route("POST" if "-X POST" in command else "GET", path[1])
    keys = ("x-functions-key: $KEY", "Authorization: Bearer $KEY")
    assert any(key in command for key in keys) != path[1].startswith(("/api/health", "/api/openapi.json"))


def test_curl_examples_show_every_route_to_ask_a_model_with_a_body_it_takes() -> None:
    bodies = {re.findall(r"/api/[a-z0-9/]+", c)[0]: re.findall(r"-d '(.*)'", c) for c in curls() if "-d '" in c}
    assert set(bodies) == {"/api/score/support", "/api/v1/chat/completions"}
    NativeRequest.model_validate_json(bodies["/api/score/support"][0])
    ChatRequest.model_validate_json(bodies["/api/v1/chat/completions"][0])


def test_every_state_that_people_see_is_explained() -> None:
    assert sorted(names(README, "What comes back")) == sorted({*map(str, SnapshotState), *map(str, ReleaseState)})


def test_the_manual_says_what_to_do_in_every_state_that_a_person_may_meet() -> None:
    states = {*map(str, SnapshotState), *map(str, ReleaseState), *map(str, DatasetState)}
    assert sorted(names(OPERATE, "When a person is needed")) == sorted(states)


def test_every_check_that_can_be_excused_is_named() -> None:
    (listed,) = re.findall(r"`what` may name (.*?);", README, re.DOTALL)
    table = OPERATE.split("| `what` | excuses |", 1)[1].split("\n\n", 1)[0]
    cells = " ".join(line.split("|")[1] for line in table.splitlines()[2:])
    assert sorted(re.findall(r"`(\w+)`", listed)) == sorted(re.findall(r"`(\w+)`", cells)) == sorted(Check)


def test_every_code_that_a_caller_may_get_is_explained() -> None:
    asking = [ROOT / "functions" / f"{name}.py" for name in ("chat_requested", "route_missed", "web")]
    asking += sorted((ROOT / "shared" / "serving").glob("*.py"))
    raised = {
        code
        for path in asking
        for codes in re.findall(
            r'(?:ApiError|refusal)\(\s*\w+, "(\w+)"|_CODES = \{(.*?)\}', path.read_text(), re.DOTALL
        )
        for code in (codes[0], *re.findall(r': "(\w+)"', codes[1]))
        if code
    }
    explained = {code for row in rows(OPERATE, "When a caller complains") for code in re.findall(r"`(\w+)`", row[0])}
    assert raised | {"invalid_value", "answer_broken_off", "timeout"} == explained


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: value}
    return {k: v for key, inner in value.items() for k, v in _leaves(inner, f"{path}.{key}".strip(".")).items()}


def test_every_line_of_host_json_has_its_reason() -> None:
    page = (ROOT / "docs" / "platform.md").read_text("utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (.{20,}) \|$", page, re.MULTILINE)
    found = {
        key: value if value and isinstance(value, str) else json.dumps(value)
        for key, value in _leaves(json.loads((ROOT / "host.json").read_text())).items()
    }
    assert {key: value for key, value, _ in rows} == found


def test_the_app_runs_in_azure_on_the_runtime_that_was_tested() -> None:
    """Without it in the requirements the platform takes an older one."""
    tested = metadata.version("azure-functions-runtime")
    assert f"azure-functions-runtime=={tested}" in (ROOT / "requirements.txt").read_text().splitlines()


def test_every_container_is_explained() -> None:
    assert sorted(names(OPERATE, "Where things are")) == sorted(CONTAINERS)


def test_paths_in_the_readme_are_taken_or_wait_for_their_marker() -> None:
    table = rows(README, "What to drop, and where")
    for path in re.findall(r"`(support-bot[^`]*)`", " ".join(row[0] for row in table)):
        drop = parse_path(path)
        assert drop is None or drop.dataset == "support-bot", path
    assert parse_path(f"support-bot/2026-11-01/{MARKER}") is not None
    for extension in EXTENSIONS:
        assert f"`{extension}`" in README


def test_the_readme_is_right_about_what_is_refused() -> None:
    for path in ("Support.jsonl", "support-bot.csv", "support-bot/train.jsonl", "a/b/c/d.jsonl"):
        with pytest.raises(InvalidUpload):
            parse_path(path)


def test_the_row_in_the_readme_is_a_good_row(tmp_path: Path) -> None:
    from shared.validation import freeze, local_source

    row = re.search(r'`(\{"messages".*?\]\})`', README)
    assert row is not None
    variants = [row[1].replace("...", f"text number {number}") for number in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(variants))
    report = freeze([local_source(tmp_path / "rows.jsonl")], Policy(meaning=False)).report
    assert (report.bad_rows, report.verdict) == (0, "accepted")


def anchor(heading: str) -> str:
    """The anchor that a heading gets on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, fragment = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name}: {target}"
        if fragment:
            assert fragment in {anchor(h) for h in re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_commands_named_in_a_page_can_be_run(page: Path) -> None:
    for module in re.findall(r"python -m (?!pytest)([a-z_.]+[a-z_])", page.read_text("utf-8")):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_make_targets_named_in_a_page_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", page.read_text("utf-8"))) <= targets


@pytest.mark.parametrize("page", DECISIONS, ids=lambda p: p.stem)
def test_a_decision_is_short_and_has_its_three_parts(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) < 40


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text("utf-8")
    assert sorted(re.findall(r"\]\(([a-z-]+\.md)\)", listed)) == [page.name for page in DECISIONS]


def test_the_examples_of_snapshot_options_are_taken() -> None:
    page = (ROOT / "docs" / "snapshot-options.md").read_text("utf-8")
    examples = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    for example in examples:
        options = parsed(example.encode(), "snapshot.json")
        check_together(merged(("snapshot.json", options.get("hyperparameters", {}))))
        Policy().tightened(**options.get("validation", {}))
    assert len(examples) == 2
