"""The supervision of processes, with small stand-ins for the parts; test_up.py has the real ones."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import psutil
import pytest

from local import cloud as cloud_module
from local.cloud import Cloud, PartsOf, StartFailed, mark_prefix
from local.parts import ROOT, CloudProcess, healthy
from local.processes import marked
from local.record import NAME, read_record, running
from local.wiring import Wiring

STAND_IN = Path(__file__).with_name("stand_in.py")
pytestmark = pytest.mark.services


def stand_ins(**options: str) -> PartsOf:
    """Parts `eventgrid` and `host`, the second after the first, each with its option."""

    def parts(wiring: Wiring, settings: Mapping[str, str]) -> Sequence[CloudProcess]:
        return [
            CloudProcess(
                name,
                [sys.executable, str(STAND_IN), str(wiring.ports[name]), options.get(name, "")],
                wiring.ports[name],
                lambda name=name: healthy(f"http://127.0.0.1:{wiring.ports[name]}"),  # type: ignore[misc]
                after=("eventgrid",) if name == "host" else (),
                environment=settings,
            )
            for name in ("host", "eventgrid")
        ]

    return parts


def a_cloud(folder: Path, **options: str) -> Cloud:
    return Cloud(folder, parts_of=stand_ins(**options), furnish=lambda _: None)


def greeting(cloud: Cloud) -> str:
    return httpx.get(cloud.record.app_url).text


def alive(folder: Path) -> list[psutil.Process]:
    return marked(mark_prefix(folder))


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with a_cloud(tmp_path) as running_cloud:
        yield running_cloud


def test_parts_start_after_those_they_need(tmp_path: Path) -> None:
    order: list[str] = []
    parts = stand_ins()
    with Cloud(tmp_path, parts_of=parts, furnish=lambda _: order.append("furnished")) as first:
        started = {name: part.process.started for name, part in first.record.parts.items()}
    assert started["eventgrid"] < started["host"]
    assert order == ["furnished"]


def test_nothing_is_left_when_the_block_ends(tmp_path: Path) -> None:
    with a_cloud(tmp_path, eventgrid="child") as ended:
        grandchild = int(ended.log("eventgrid").split()[1])
        assert psutil.pid_exists(grandchild)
    assert alive(tmp_path) == []
    assert not psutil.pid_exists(grandchild)
    assert not (tmp_path / NAME).exists()


def test_part_that_ignores_the_request_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.processes.PATIENCE", 0.2)
    with a_cloud(tmp_path, host="stubborn"):
        pass
    assert alive(tmp_path) == []


def test_killed_part_comes_back_at_the_same_address(cloud: Cloud) -> None:
    address, pid = cloud.record.app_url, cloud.record.parts["host"].process.pid
    cloud.kill("host")
    with pytest.raises(httpx.TransportError):
        httpx.get(address)
    cloud.start("host")
    assert httpx.get(cloud.record.app_url).status_code == 200
    assert cloud.record.app_url == address
    assert cloud.record.parts["host"].process.pid != pid
    assert read_record(cloud.folder) == cloud.record


def test_kill_takes_the_children_along(tmp_path: Path) -> None:
    with a_cloud(tmp_path, host="child") as guarded:
        grandchild = int(guarded.log("host").split()[1])
        guarded.kill("host")
        assert not psutil.pid_exists(grandchild)


def test_settings_take_effect_at_the_next_start(cloud: Cloud) -> None:
    assert greeting(cloud) == ""
    cloud.settings["GREETING"] = "hello"
    cloud.restart("host")
    assert greeting(cloud) == "hello"


def test_unknown_part_is_named_with_the_known_ones(cloud: Cloud) -> None:
    with pytest.raises(KeyError, match="there is no part 'hosts'; the parts are host, eventgrid"):
        cloud.start("hosts")


def test_ports_and_keys_survive_a_restart(tmp_path: Path) -> None:
    with a_cloud(tmp_path) as first:
        before = first.record
    with a_cloud(tmp_path) as second:
        after = second.record
    assert (before.app_url, before.eventgrid_key) == (after.app_url, after.eventgrid_key)


def test_port_that_somebody_took_is_replaced(tmp_path: Path) -> None:
    with a_cloud(tmp_path) as first:
        port = first.record.parts["host"].port
    with subprocess.Popen([sys.executable, str(STAND_IN), str(port)]) as stranger:
        while not healthy(f"http://127.0.0.1:{port}"):
            assert stranger.poll() is None
        with a_cloud(tmp_path) as second:
            assert second.record.parts["host"].port != port
        stranger.kill()


def test_two_clouds_run_side_by_side(tmp_path: Path) -> None:
    with a_cloud(tmp_path / "a") as first, a_cloud(tmp_path / "b") as second:
        assert first.record.app_url != second.record.app_url
    assert alive(tmp_path / "a") == alive(tmp_path / "b") == []


def test_failed_start_tells_the_reason_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(StartFailed, match=r"host ended with code 1(?s:.*)there is no bread"),
        a_cloud(tmp_path, host="fails"),
    ):
        pass
    assert alive(tmp_path) == []
    assert running(tmp_path) is None


def test_failed_start_shows_nothing_of_earlier_starts(tmp_path: Path) -> None:
    with a_cloud(tmp_path, host="child") as cloud:
        assert "child" in cloud.log("host")
    with pytest.raises(StartFailed) as failed, a_cloud(tmp_path, host="fails"):
        pass
    assert str(failed.value).endswith("The end of its log:\nthere is no bread")


def test_part_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_module, "START_SECONDS", 0.5)
    with pytest.raises(StartFailed, match="host did not answer"), a_cloud(tmp_path, host="silent"):
        pass
    assert alive(tmp_path) == []


def test_record_is_private_and_tells_living_from_dead(cloud: Cloud) -> None:
    assert stat.S_IMODE((cloud.folder / NAME).stat().st_mode) == 0o600
    assert cloud.record.dead == []
    os.kill(cloud.record.parts["host"].process.pid, signal.SIGKILL)
    while not cloud.ended():
        pass
    assert cloud.ended() == {"host": -signal.SIGKILL}
    assert cloud.record.dead == ["host"]


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    """Also grandchildren in sessions of their own; and the next cloud in the folder starts over the leftovers."""
    program = f"""
        import sys
        from pathlib import Path
        from tests.local.test_cloud import a_cloud
        with a_cloud(Path({str(tmp_path)!r}), host="child") as cloud:
            print("up", flush=True)
            sys.stdin.read()
    """
    supervisor = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "up\n"
        theirs = alive(tmp_path)
        assert len(theirs) == 3
        assert running(tmp_path) is not None
        supervisor.kill()
    _, left = psutil.wait_procs(theirs, timeout=90)
    assert left == []
    assert read_record(tmp_path) is not None
    assert running(tmp_path) is None
    with a_cloud(tmp_path) as next_cloud:
        assert next_cloud.record.dead == []
