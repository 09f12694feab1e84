"""`make demo` beside another one; what it does is tested as a whole elsewhere."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from local import supervisor
from local.demo import Demo, likeness_in_words


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
