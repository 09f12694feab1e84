"""`droptune` as an installed program."""

from __future__ import annotations

import importlib
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import installed
from cli.__main__ import app

ROOT = Path(__file__).parents[2]


def test_the_program_that_is_installed_is_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["droptune"].partition(":")
    assert getattr(importlib.import_module(module), function) is installed.main
    monkeypatch.setattr(sys, "argv", ["droptune", "--help"])
    with pytest.raises(SystemExit) as ended:
        installed.main()
    assert ended.value.code == CliRunner().invoke(app, ["--help"]).exit_code == 0


def test_installed_without_its_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "cli.__main__")
    with pytest.raises(SystemExit, match=r"lacks typer: install it .* pipx install '\.\[cli\]'"):
        installed.main()


def test_an_app_can_be_named_for_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPTUNE_APP", "https://other.example.net")
    monkeypatch.setenv("DROPTUNE_KEY", "k")
    asked = CliRunner().invoke(app, ["--app", "mine.example.net", "ls"])
    assert asked.exit_code == 2
    assert "must be an address that begins with https://, not 'mine.example.net'" in asked.stderr
