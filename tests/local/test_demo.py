"""`make demo` beside another one; what it does is tested as a whole elsewhere."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from local.demo import Demo


def test_second_demo_is_refused_and_leaves_the_first_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "demo"
    (folder / "logs").mkdir(parents=True)
    with (tmp_path / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert Demo(folder).run() == 1
    assert (folder / "logs").exists()
    assert "another demo runs in" in capsys.readouterr().out
