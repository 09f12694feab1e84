"""`azd up`, `azd up` again and `azd down`, imitated: all hooks, the package, and a doctor who finds nothing wrong."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.parts import app_environment, base_environment
from scripts import package
from tests.infra.azd import ROOT, Azd

pytestmark = pytest.mark.services
EXAMPLE = ROOT / "examples" / "support-bot.jsonl"


@pytest.fixture(scope="module")
def azd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azd]:
    """One environment that is up, for the tests of this file that leave it so."""
    with _up(tmp_path_factory.mktemp("azd")) as azd:
        yield azd


@pytest.fixture
def own_azd(tmp_path: Path) -> Iterator[Azd]:
    """An environment of the test's own that is up, to be taken down."""
    with _up(tmp_path) as azd:
        yield azd


@contextmanager
def _up(folder: Path) -> Iterator[Azd]:
    with closing(Azd(folder)) as azd:
        done = azd.up()
        assert done.returncode == 0, done.stdout + done.stderr
        assert azd.ran == ["postdeploy"]
        assert "droptune-uploads: made" in done.stdout
        assert "droptune-runs: made" in done.stdout
        yield azd


def writes(azd: Azd) -> list[str]:
    """What was written to the control plane so far."""
    with azd.control_plane() as client:
        found = [
            client.get("/_control/requests", params={"method": method}).json()["value"] for method in ("PUT", "DELETE")
        ]
    return [row["path"].split("?")[0] for rows in found for row in rows if "/_control/" not in row["path"]]


def doctor(azd: Azd, query: str = "") -> dict[str, Any]:
    """What the doctor says of each check."""
    assert azd.cloud is not None
    record = azd.cloud.record
    answer = httpx.get(
        f"{record.app_url}/api/doctor{query}", headers={"x-functions-key": record.master_key}, timeout=120
    )
    return {check["check"]: check for check in answer.raise_for_status().json()["checks"]}


def test_up_ends_with_a_doctor_who_finds_nothing_wrong(azd: Azd) -> None:
    assert {check["result"] for check in doctor(azd).values()} == {"well"}


def test_the_doctor_is_for_whoever_has_the_master_key(azd: Azd) -> None:
    assert azd.cloud is not None
    record = azd.cloud.record
    assert httpx.get(f"{record.app_url}/api/doctor").status_code == 401
    assert httpx.get(f"{record.app_url}/api/doctor", headers={"x-functions-key": record.app_key}).status_code == 401


def test_the_doctor_is_asked_from_a_laptop_too(azd: Azd) -> None:
    assert azd.cloud is not None
    environment = app_environment(azd.cloud.wiring, azd.settings())
    command = [sys.executable, "-m", "cli", "doctor"]
    done = subprocess.run(
        command, cwd=ROOT, env={**base_environment(), **environment}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "   well  uploads: droptune-uploads tells snapshot_uploaded" in done.stdout


def test_an_event_goes_through_event_grid_and_comes_back(azd: Azd) -> None:
    found = doctor(azd, "?event=true")["event"]
    assert found["result"] == "well", found


def test_a_second_up_changes_nothing(azd: Azd) -> None:
    before, digest = writes(azd), azd.digest
    done = azd.up()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "droptune-uploads: is there" in done.stdout
    assert (writes(azd), azd.digest) == (before, digest)


@pytest.mark.parametrize(
    ("roles", "wrong"),
    [
        ({"workspace": ["AzureML Data Scientist"]}, {"workspace", "machines", "metrics", "uploads", "runs"}),
        ({"subscription": ["Monitoring Reader"]}, set()),
    ],
)
def test_the_doctor_sees_which_role_is_missing(azd: Azd, roles: dict[str, list[str]], wrong: set[str]) -> None:
    with azd.control_plane() as client:
        client.put("/_control/settings", json={"roles": roles}).raise_for_status()
        try:
            found = doctor(azd)
        finally:
            client.put("/_control/settings", json={"roles": None}).raise_for_status()
    assert {name for name, check in found.items() if check["result"] == "wrong"} >= wrong
    if "subscription" not in roles:
        assert "Monitoring Reader" in found["metrics"]["mend"]


def test_the_doctor_sees_quota_that_holds_no_training(azd: Azd) -> None:
    with azd.control_plane() as client:
        client.put("/_control/settings", json={"quota": {"*": 1}}).raise_for_status()
        try:
            found = doctor(azd)["machines"]
        finally:
            client.put("/_control/settings", json={"quota": {"*": 1000}}).raise_for_status()
    assert (found["result"], "the quota is 1" in found["found"]) == ("wrong", True), found


def test_a_subscription_that_somebody_deleted_is_seen_and_made_again(azd: Azd) -> None:
    path = f"{azd.outputs()['DROPTUNE_STORAGE_TOPIC_ID']}/eventSubscriptions/droptune-uploads"
    with azd.control_plane() as client:
        assert client.delete(path, params={"api-version": "2025-02-15"}).status_code == 200
    assert doctor(azd)["uploads"]["found"] == "no event subscription tells snapshot_uploaded"
    assert "droptune-uploads: made" in azd.up().stdout
    assert doctor(azd)["uploads"]["result"] == "well"


def test_down_leaves_nothing_and_may_be_repeated(own_azd: Azd) -> None:
    workspace = own_azd.outputs()["DROPTUNE_WORKSPACE_ID"]
    version = {"api-version": "2025-06-01"}
    with own_azd.control_plane() as client:
        endpoint = {"location": "local", "properties": {"authMode": "Key"}}
        assert client.put(f"{workspace}/onlineEndpoints/left-over", params=version, json=endpoint).status_code == 201
        for _ in range(2):
            done = own_azd.down()
            assert done.returncode == 0, done.stdout + done.stderr
        assert client.get(workspace, params=version).status_code == 404
        assert client.put(workspace, params=version, json={}).status_code == 200, "its name is free again"
        assert client.get(f"{workspace}/onlineEndpoints", params=version).json()["value"] == []
        assert client.get(f"{workspace}/computes", params=version).json()["value"] == []


def test_a_workspace_that_was_deleted_without_being_purged_keeps_its_name(own_azd: Azd) -> None:
    workspace = own_azd.outputs()["DROPTUNE_WORKSPACE_ID"]
    with own_azd.control_plane() as client:
        assert client.delete(workspace, params={"api-version": "2025-06-01"}).status_code == 202
        refused = client.put(workspace, params={"api-version": "2025-06-01"}, json={})
        assert (refused.status_code, "purge or recover" in refused.text) == (409, True)
    assert own_azd.down().returncode == 0
    with own_azd.control_plane() as client:
        assert client.put(workspace, params={"api-version": "2025-06-01"}, json={}).status_code == 200


def test_the_package_has_the_app_and_nothing_of_development(tmp_path: Path) -> None:
    names = package.package(ROOT, tmp_path / "app.zip", dependencies=False)
    assert {name.split("/")[0] for name in names} == {
        "function_app.py",
        "functions",
        "shared",
        "host.json",
        "requirements.txt",
    }


def test_each_large_dependency_has_its_reason(tmp_path: Path) -> None:
    archive = tmp_path / "app.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for name in ("pyarrow/libarrow.so", "torch/lib.so", "numpy.libs/blas.so"):
            opened.writestr(f"{package.PACKAGES}{name}", bytes(package.LARGE + 1))
        opened.writestr("function_app.py", b"x")
    said = "\n".join(package.report(archive))
    assert "pyarrow 20 MB: reads and writes Parquet" in said
    assert "numpy 20 MB: looks through" in said
    assert "torch 20 MB: NO REASON GIVEN" in said


@pytest.mark.nightly
def test_the_package_runs_with_nothing_beside_it_and_a_dropped_file_is_served(tmp_path: Path) -> None:
    """Whole: wheels for the platform, no other package on the path; a file becomes a model that answers."""
    from local.droptune import Droptune

    azd = Azd(tmp_path, dependencies=True)
    try:
        done = azd.up()
        assert done.returncode == 0, done.stdout + done.stderr
        assert azd.ran == ["prepackage", "postdeploy"]
        assert azd.cloud is not None
        assert httpx.get(f"{azd.cloud.record.app_url}/api/health").json() == {"status": "ok"}
        with Droptune(azd.cloud.description) as app:
            app.drop("packaged.jsonl", EXAMPLE)
            ended = app.wait_for("packaged", "LIVE", "REJECTED", "TRAINING_FAILED", "DEPLOY_FAILED", "WITHHELD")
            assert ended["state"] == "LIVE", ended
            assert app.ask("packaged", "Where do I put my training data?").status_code == 200
        assert azd.down().returncode == 0
    finally:
        azd.close()
