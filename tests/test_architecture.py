"""What may import what, what is deployed, and that the app does not know where it runs. Contracts: `.importlinter`."""

from __future__ import annotations

import ast
import fnmatch
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
APP = sorted([ROOT / "function_app.py", *(ROOT / "functions").rglob("*.py"), *(ROOT / "shared").rglob("*.py")])
# What the deployed app consists of; everything else at the top is development's.
DEPLOYED_FOLDERS = {"functions", "shared"}
DEPLOYED_FILES = {"function_app.py", "host.json", "requirements.txt"}


def imports(path: Path) -> Iterator[str]:
    """The full names of the modules a file imports, inside functions too, without those for type checkers only."""
    for node in _running(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _running(child)


def requirements(name: str) -> set[str]:
    """The packages a requirements file pins."""
    lines = (ROOT / name).read_text().splitlines()
    return {re.split(r"[=\[; ]", line, maxsplit=1)[0] for line in lines if line and not line.startswith(("#", " "))}


def calls(path: Path, name: str) -> Iterator[ast.Call]:
    """The calls of a function or method of that name."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name:
            yield node


def package_name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, requirement
    return found[0]


def ignored(path: str) -> bool:
    """Whether `.funcignore` keeps a top-level file or folder (name ends in /) from being deployed."""
    patterns = [line for line in (ROOT / ".funcignore").read_text().splitlines() if line and line[0] != "#"]
    return any(fnmatch.fnmatch(path, p) or fnmatch.fnmatch(path.rstrip("/"), p.rstrip("/")) for p in patterns)


def tracked() -> set[str]:
    """Every file git knows, except for what is being removed."""
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {path for path in found.splitlines() if (ROOT / path).exists()}


def test_import_contracts_hold() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_table_of_contents_imports_the_triggers_and_nothing_else() -> None:
    assert {name.split(".")[0] for name in imports(ROOT / "function_app.py")} == {"azure", "functions"}


@pytest.mark.parametrize("path", sorted((ROOT / "functions").glob("*.py")), ids=lambda p: p.stem)
def test_triggers_import_azure_functions_and_no_other_sdk(path: Path) -> None:
    allowed = {"azure.functions"} | ({"azurefunctions.extensions.http.fastapi"} if path.stem == "web" else set())
    assert {name for name in imports(path) if name.startswith("azure")} <= allowed


def test_the_life_cycles_are_plain_python() -> None:
    allowed = sys.stdlib_module_names
    assert {name.split(".")[0] for name in imports(ROOT / "shared" / "ledger" / "states.py")} <= allowed


def test_every_module_is_named_for_what_it_does() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "base"}
    paths = [path for path in tracked() if path.endswith(".py")]
    assert [path for path in paths if vague & {part.removesuffix(".py") for part in path.split("/")}] == []


@pytest.mark.parametrize("path", [*APP, ROOT / "host.json"], ids=lambda p: str(p.relative_to(ROOT)))
def test_the_app_does_not_know_where_it_runs(path: Path) -> None:
    told = re.compile(r"local cloud|\.local\b(?!\()|azurite|if local\b|\blocalhost\b|127\.0\.0\.1", re.IGNORECASE)
    assert told.findall(path.read_text("utf-8")) == []


def test_what_is_deployed_is_the_app() -> None:
    top = {path.split("/")[0] + ("/" if "/" in path else "") for path in tracked()}
    folders = {name.rstrip("/") for name in top if name.endswith("/") and not ignored(name)}
    assert folders == DEPLOYED_FOLDERS
    files = {name for name in top if not name.endswith("/") and not ignored(name)}
    assert files >= DEPLOYED_FILES
    assert {name for name in files if name.endswith((".py", ".json", ".toml", ".sh", ".txt"))} == DEPLOYED_FILES


@pytest.mark.parametrize("name", ["local/", "tests/", "examples/", "benchmarks/", "docs/", "scripts/", "infra/", "cli/",
                                  ".venv/", ".tools/", ".local/", ".git/", ".github/", "local.settings.json",
                                  "requirements-dev.txt", "pyproject.toml"])  # fmt: skip
def test_what_serves_development_is_not_deployed(name: str) -> None:
    assert ignored(name)


def test_everything_the_app_imports_is_a_requirement() -> None:
    pinned = requirements("requirements.txt")
    for path in APP:
        for name in imports(path):
            first = name.split(".")[0]
            if first in sys.stdlib_module_names or first in DEPLOYED_FOLDERS:
                continue
            assert _distributions(name) & pinned, f"{path.relative_to(ROOT)} imports {name}, which is not deployed"


def _distributions(name: str) -> set[str]:
    """What the distribution of an imported name may be called: `azure.storage.blob` is azure-storage-blob."""
    services = name.lower().replace("_", "-").split(".")
    shortest = 2 if services[0] == "azure" else 1
    return {"-".join(services[:end]) for end in range(shortest, len(services) + 1)}


def test_every_requirement_is_imported_by_the_app() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    used = {distribution for path in APP for name in imports(path) for distribution in _distributions(name)}
    not_by_the_app = {"tzdata", "azure-functions-runtime"}  # by zoneinfo, and by the platform
    assert {package_name(line) for line in project["project"]["dependencies"]} - used == not_by_the_app


def test_nothing_is_deployed_for_development_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [*project["dependency-groups"].values(), *project["project"]["optional-dependencies"].values()]
    development = {package_name(line) for lines in groups for line in lines if isinstance(line, str)}
    pinned = requirements("requirements.txt")
    needed = {package_name(line) for name in pinned for line in metadata.requires(name) or ()}
    assert (development & pinned) - needed == set()


def test_requirements_name_no_index() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        assert "://" not in (ROOT / name).read_text(), name


@pytest.mark.parametrize("path", APP, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_type_is_first_looked_at_by_two_threads(path: Path) -> None:
    """msgspec crashes the process then, so decoders are made at import. Seen in a host that was started busy."""
    lazy = [call.lineno for call in calls(path, "decode") if "type" in {keyword.arg for keyword in call.keywords}]
    assert not lazy, "make a Decoder at import: docs/decisions/libraries.md"


CODE = ("shared", "functions", "cli", "local", "benchmarks", "scripts")


def classes() -> dict[str, list[str]]:
    """Every public class of the project by its name, with the files that define one."""
    found: dict[str, list[str]] = {}
    for path in sorted(path for room in CODE for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    return found


def test_no_two_classes_have_the_same_name() -> None:
    assert {name: paths for name, paths in classes().items() if len(paths) > 1} == {}


def test_nothing_stands_beside_the_rooms() -> None:
    known = {"__init__.py", "naming.py", "errors.py", "runtime.py"}
    assert {path.name for path in (ROOT / "shared").glob("*.py")} == known


def test_no_file_of_the_app_is_longer_than_a_reader_can_keep_in_mind() -> None:
    long = {str(path.relative_to(ROOT)) for path in APP if len(path.read_text("utf-8").splitlines()) > 350}
    assert long == set(), "split it: at most 350 lines"


def test_no_function_of_the_app_is_longer_than_a_screen() -> None:
    long = {
        node.name: f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in [*APP, *(ROOT / "cli").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 40
    }
    assert long == {}, "at most 40 lines"


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Also not for type checkers, and not from inside functions."""
    graph = grimp.build_graph("shared", "functions", include_external_packages=False, cache_dir=None)
    after: dict[str, set[str]] = {name: set(graph.find_modules_directly_imported_by(name)) for name in graph.modules}
    in_circles = {name for name in after if _reaches(after, name, name)}
    assert in_circles == set()


def _reaches(after: dict[str, set[str]], start: str, goal: str) -> bool:
    """Whether a chain of imports leads from one module to the other."""
    todo, seen = [*after[start]], set[str]()
    while todo:
        name = todo.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            todo += after.get(name, ())
    return False


# Words of our own that a stranger would have to learn, with the word to use: CONTRIBUTING.md.
PRIVATE_WORDS = {
    "desk": "service",
    "lineup": "what it lines up: columns, rows",
    "nature": "traits",
    "notary": "ledger",
    "wish": "request",
    "wishes": "request",
    "wished": "request",
    "told": "reason, or the verb that says it",
    "seen": "state, or the verb that says it",
    "hand": "step handler",
    "hands": "step handler",
}
"""Words that are no part of a name in the app's code."""
PRIVATE_CLASSES = {"Desk", "Nature", "Memory", "Lineup", "Numbers", "Lead", "Room", "Place", "Part", "Parts", "Tally"}
"""Each of them stood for something that the field has a word for."""


def test_private_words_do_not_come_back() -> None:
    used = Counter(
        word
        for path in APP
        for name in (path.stem, *_names_given(ast.parse(path.read_text("utf-8"))))
        for word in {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", name)} & PRIVATE_WORDS.keys()
    )
    assert {f"{word} ({count}): say {PRIVATE_WORDS[word]}" for word, count in used.items()} == set()


def test_private_classes_do_not_come_back() -> None:
    assert set(classes()) & PRIVATE_CLASSES == set()


@pytest.mark.parametrize(
    "path", [*APP, *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_nobody_wishes_anything_of_the_app(path: Path) -> None:
    """A person or a timer makes a request, which is on record; a caller gives a hint."""
    assert re.findall(r"\b(?:wish|wishes|wished|desk|lineup|notary)\b", path.read_text("utf-8")) == []


def _names_given(tree: ast.AST) -> Iterator[str]:
    """The names that a module gives: to classes, functions, arguments, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def test_the_files_named_in_the_guide_are_there() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"`((?:shared|functions|local|tests|docs|scripts|cli|benchmarks)/[^`\s]*)`", guide)
    named += re.findall(r"(tests/[\w/.]+)", guide)
    assert [name for name in named if not (ROOT / name).exists()] == []
