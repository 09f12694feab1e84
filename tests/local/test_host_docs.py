"""docs/local-host.md says what the code does."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "local-host.md").read_text()


def source(name: str) -> str:
    return (ROOT / "local" / "host" / name).read_text()


def test_every_argument_is_documented() -> None:
    arguments = set(re.findall(r'"(--[a-z]+)"', source("__main__.py")))
    documented = set(re.findall(r"^\| `(--[a-z]+)`", DOCS, re.MULTILINE))
    assert documented == arguments


def test_every_honoured_key_of_host_json_is_documented() -> None:
    keys = set(re.findall(r'(?:get\(|given, )"([a-zA-Z]+)"', source("settings.py"))) - {"extensions", "http", "queues"}
    documented = {key.split(".")[-1] for key in re.findall(r"^\| `([a-zA-Z.]+)` \|", DOCS, re.MULTILINE)}
    assert documented == keys


def test_only_one_module_knows_the_runtime() -> None:
    """It is no public interface: a new release must be dealt with in one place."""
    wanted = re.compile(r"^\s*(?:import|from) azure_functions_runtime", re.MULTILINE)
    modules = (ROOT / "local").rglob("*.py")
    assert [module.name for module in modules if wanted.search(module.read_text())] == ["runtime.py"]
