"""`make demo` beside another one; what it does is tested as a whole elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from local import azurite, control_plane, demo, supervisor
from local.demo import Demo, DemoFailed, likeness_in_words
from local.processes import marked


def test_second_demo_is_refused_and_leaves_the_first_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "demo"
    (folder / "logs").mkdir(parents=True)
    with (tmp_path / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert Demo(folder).run() == 1
    assert (folder / "logs").exists()
    assert "another demo runs in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("likeness", "words"),
    [
        (100.0, "word for word as expected"),
        (81.0, "nearly as expected"),
        (50.0, "partly as expected"),
        (25.0, "little of what was expected"),
        (18.6, "nothing of what was expected"),
        (0.0, "nothing of what was expected"),
    ],
)
def test_likeness_is_said_in_words(likeness: float, words: str) -> None:
    assert likeness_in_words(likeness) == words


def test_one_that_is_kept_is_found_by_the_commands_of_the_local_cloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(folder: Path, settings: dict[str, str]) -> None:
        assert folder == tmp_path
        raise supervisor.OtherSettings("it runs already, settings are unchanged: `make down` first")

    monkeypatch.setattr(supervisor, "up", refused)
    assert Demo(tmp_path, {"MIN_ROWS": "1"}, keep=True).run() == 1
    assert "`make down` first" in capsys.readouterr().out


def _story(monkeypatch: pytest.MonkeyPatch, ends: BaseException, *dead: str) -> None:
    """A demo whose cloud runs nothing, and whose story ends so, when these parts have ended by themselves."""

    @contextlib.contextmanager
    def nothing(*_: Any) -> Iterator[Any]:
        yield SimpleNamespace(ended=lambda: dict.fromkeys(dead, 1), description={})

    def story(*_: Any) -> None:
        raise ends

    monkeypatch.setattr(demo, "Cloud", nothing)
    monkeypatch.setattr(demo, "Droptune", nothing)
    monkeypatch.setattr(Demo, "_story", story)


def test_a_part_that_ends_on_the_way_is_named_with_the_place_of_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _story(monkeypatch, DemoFailed("`droptune drop` ended with 5, not 0: see above"), "host")
    assert Demo(tmp_path / "demo").run() == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "the demo ends here: host ended while it was needed; `droptune drop` ended with 5, not 0" in said
    assert "stopped: nothing is running any more" in said
    assert f"Logs: {tmp_path}/demo/logs/" in said


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), TimeoutError("still not there after 180 s")], ids=repr
)
def test_what_does_not_answer_ends_the_demo_with_a_sentence(
    error: Exception, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _story(monkeypatch, error)
    assert Demo(tmp_path / "demo").run() == 1
    assert f"the demo ends here: {type(error).__name__}: {error}. Logs:" in capsys.readouterr().out


def test_an_interrupted_demo_stops_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _story(monkeypatch, KeyboardInterrupt())
    assert Demo(tmp_path / "demo").run() == 130
    said = capsys.readouterr().out
    assert said.index("interrupted") < said.index("stopped: nothing is running any more")


def test_a_kept_demo_that_is_interrupted_stops_what_it_has_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    downs: list[Path] = []
    down: Callable[[Path], Any] = downs.append
    monkeypatch.setattr(supervisor, "up", interrupted)
    monkeypatch.setattr(supervisor, "down", down)
    assert Demo(tmp_path, keep=True).run() == 130
    assert downs == [tmp_path]
    assert "stopped: nothing is running any more" in capsys.readouterr().out


def test_a_checkout_without_azurite_is_told_to_be_set_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azurite, "PROGRAM", tmp_path / "azurite.js")
    assert Demo(tmp_path / "demo").run() == 1
    assert "azurite.js does not exist: run `make setup`" in capsys.readouterr().out
    assert marked(f"{tmp_path / 'demo'}#") == []


def test_jobs_have_their_pace_again_however_the_slow_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    paces = [0.1]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            paces.append(json.loads(request.content)["job_step_seconds"])
        return httpx.Response(200, json={"pace": {"job_step_seconds": paces[-1]}})

    monkeypatch.setattr(control_plane, "client", lambda _: httpx.Client(transport=httpx.MockTransport(answer)))
    cloud = {"azureml_url": "https://localhost:1", "azureml_ca": ""}
    with pytest.raises(KeyboardInterrupt), control_plane.paced(cloud, 1.5):
        raise KeyboardInterrupt
    assert paces == [0.1, 1.5, 0.1]
