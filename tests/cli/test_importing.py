"""`droptune import` against the app's own functions: what is sent, what is followed, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import importing
from cli.__main__ import app
from cli.client import AppClient
from cli.failures import Exit
from cli.target import find_target
from tests.fakes import World

SOURCE = "owner/alpaca"


def droptune(*given: str) -> Any:
    return CliRunner().invoke(app, list(given))


@pytest.fixture
def hub_app(an_app: World) -> World:
    """An app that may import, and a Hub with one dataset."""
    an_app.settings["import_sources"] = "owner/*"
    an_app.hub.datasets[SOURCE] = {
        "train": [[{"instruction": f"What is {n}?", "output": f"It is {n}."} for n in range(30)]] * 2
    }
    an_app.services = an_app.new_process()
    return an_app


def test_what_is_asked_for_is_sent_as_it_was_given(hub_app: World) -> None:
    options = [
        "--split",
        "train",
        "--fraction",
        "0.5",
        "--rows",
        "9",
        "--seed",
        "3",
        "--user",
        "q, more",
        "--assistant",
        "a",
    ]
    done = droptune("import", SOURCE, "--no-watch", "--json", *options, "--hyperparameter", "num_train_epochs=2")
    assert done.exit_code == Exit.DONE, done.stderr
    with AppClient(find_target()) as client:
        asked = client.get(f"imports/{json.loads(done.stdout)['id']}")["request"]
    expected = {"source": SOURCE, "dataset": "alpaca", "splits": ["train"], "fraction": 0.5, "rows": 9, "seed": 3}
    assert asked == {
        **expected,
        "user": ["q", "more"],
        "assistant": "a",
        "options": {"hyperparameters": {"num_train_epochs": 2}},
    }


def test_an_import_is_followed_until_it_ends(hub_app: World) -> None:
    done = droptune("import", SOURCE, "--dataset", "support-bot", "--no-watch")
    assert "owner/alpaca into support-bot: will be imported" in done.stdout
    import_id = done.stdout.split(":")[0]
    with AppClient(find_target()) as client:
        seen = list(importing.progress(client, import_id, lambda _: hub_app.run()))
    assert [found["state"] for found in seen] == ["ASKED", "IMPORTED"]
    again = droptune("import", SOURCE, "--dataset", "support-bot")
    assert "2 of 2 parts, 60 rows; 60 of 60 rows are used" in again.stdout
    assert "LIVE" in again.stdout


def test_an_import_that_failed_says_why(hub_app: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.importing.time.sleep", lambda _: hub_app.run())
    done = droptune("import", "owner/nothing", "--dataset", "support-bot")
    assert (done.exit_code, "on the Hub is no dataset owner/nothing" in done.stdout) == (Exit.FAILED, True)


def test_what_the_settings_do_not_allow_is_said_in_the_apps_words(an_app: World) -> None:
    done = droptune("import", SOURCE)
    assert (done.exit_code, "imports are off: IMPORT_SOURCES" in done.stderr) == (Exit.NO_ACCESS, True)


def test_options_that_the_app_would_refuse_are_refused_before(hub_app: World) -> None:
    done = droptune("import", SOURCE, "--hyperparameter", "num_train_epoch=2")
    assert (done.exit_code, "num_train_epochs" in done.stderr) == (Exit.USAGE, True)
