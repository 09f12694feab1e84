"""`python -m local`: the whole cloud with the app, as a person starts and stops it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.cloud import mark_prefix
from local.parts import ROOT
from local.processes import marked
from local.record import running

pytestmark = pytest.mark.services


def run(command: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """One command; it must end by itself although the cloud goes on."""
    return subprocess.run(
        [sys.executable, "-m", "local", command, "--folder", str(folder), *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "cloud"
    assert run("down", tmp_path / "cloud").returncode == 0
    assert marked(mark_prefix(tmp_path / "cloud")) == []


def test_up_twice_status_crash_up_down(folder: Path) -> None:
    """One story, because each start takes seconds."""
    assert run("status", folder).returncode == 1

    first = run("up", folder)
    assert first.returncode == 0, first.stderr
    record = running(folder)
    assert record is not None
    assert record.app_url in first.stdout
    described = json.loads((folder / "cloud.json").read_text())
    assert {"app_key", "azureml_ca", "eventgrid_url", "storage_connection_string"} <= set(described)

    again = run("up", folder)
    assert again.returncode == 0
    assert again.stdout in first.stdout
    assert running(folder) == record

    same = run("up", folder, "--set", "LOOK_SECONDS=1")
    assert same.returncode == 0
    other = run("up", folder, "--set", "LOOK_SECONDS=2")
    assert other.returncode == 1
    assert "it runs already, settings are unchanged: `make down` first" in other.stderr
    assert running(folder) == record

    status = run("status", folder)
    assert status.returncode == 0, status.stdout
    assert "snapshot_uploaded" in status.stdout
    assert str(folder / "logs") in status.stdout
    assert "host.log" in status.stdout

    assert record.supervisor.process is not None
    theirs = marked(mark_prefix(folder))
    record.supervisor.process.kill()
    assert psutil.wait_procs(theirs, timeout=90)[1] == []
    assert "was killed" in run("status", folder).stdout

    assert run("up", folder).returncode == 0
    anew = running(folder)
    assert anew is not None
    assert (anew.app_url, anew.app_key) == (record.app_url, record.app_key)

    host = anew.parts["host"].process.process
    assert host is not None
    host.kill()
    psutil.wait_procs([host], timeout=90)
    assert "host ended: `make up` starts it again" in run("status", folder).stdout
    mended = run("up", folder)
    assert "host had ended" in mended.stdout
    assert run("status", folder).returncode == 0

    assert "is down" in run("down", folder).stdout
    assert marked(mark_prefix(folder)) == []
    assert "was not running" in run("down", folder).stdout


def test_up_that_fails_names_the_part_and_leaves_nothing(folder: Path) -> None:
    failed = run("up", folder, "--set", "SWEEP_SCHEDULE=never")
    assert failed.returncode == 1
    assert "host ended with code 1" in failed.stderr
    assert "sweep_due" in failed.stderr
    assert marked(mark_prefix(folder)) == []
    assert running(folder) is None


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_setting_that_is_wrong_or_misspelt_is_said_before_anything_is_started(folder: Path, command: str) -> None:
    failed = run(
        command, folder, "--set", "LOOK_SECONDS=never", "--set", "IDLE_HUORS=2", "--set", "LOCAL_CONTAINER=score"
    )
    assert failed.returncode == 2
    assert "LOOK_SECONDS = 'never': Input should be a valid integer" in failed.stderr
    assert failed.stderr.count("IDLE_HUORS is no setting; did you mean IDLE_HOURS?") == 1
    assert "LOCAL_CONTAINER" not in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not folder.exists()
