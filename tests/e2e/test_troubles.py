"""What Azure may do to a release, each provoked in the local cloud: how it ends, what is said, and what is left.

All troubles happen at the same time, each to a dataset of its own; the tests look at the ends. One of them lasts until
the app gives it up: the limit is set once all others have ended, so that it is never reached by one that is only slow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from local.cloud import Cloud
from local.control_plane import endpoints
from local.droptune import Droptune
from shared import naming
from tests.e2e.conftest import AzureML, run_now
from tests.fakes import dialogues

SETTINGS = {"MIN_ROWS": "20", "MAX_RUNS": "20", "GATE_PROMPTS": "3"}
SHORT_LIMIT = {"DEPLOY_LIMIT_MINUTES": "0.1"}
OUT_OF_QUOTA = {
    "error": {
        "code": "BadRequest",
        "message": "The request is invalid. (OutOfQuota) Not enough quota available for Standard_NC24ads_A100_v4.",
        "details": [{"code": "OutOfQuota", "message": "Not enough quota available.", "target": "VmSize"}],
    }
}
REFUSED = {"error": {"code": "BadArgument", "message": "The request is invalid: model is not supported."}}
CANCELED = {"error": {"code": "OperationCanceled", "message": "The operation was canceled."}}
EXPIRED = {"error": {"code": "ExpiredAuthenticationToken", "message": "The access token expiry is earlier than now."}}
BUSY = {"error": {"code": "Conflict", "message": "Endpoint is in state Updating."}}


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong: how it is provoked, and how it has to end."""

    dataset: str
    ends: str
    said: str
    faults: tuple[dict[str, Any], ...] = ()
    outcome: dict[str, Any] | None = None
    logged: str = ""
    suffix: str = ""
    settings: Callable[[str], dict[str, Any]] | None = field(default=None)


@dataclass(frozen=True)
class End:
    """A snapshot, its dataset, and the endpoints that are left."""

    row: dict[str, Any]
    dataset: dict[str, Any]
    endpoints: list[str]

    @property
    def id(self) -> str:
        return str(self.row["id"])


def _put(what: str, status: int, body: dict[str, Any], times: int = 1) -> tuple[dict[str, Any], ...]:
    return ({"method": "PUT", "path": what, "status": status, "body": body, "times": times},)


TROUBLES = (
    Trouble("out-of-quota", "DEPLOY_FAILED", "OutOfQuota", _put("/out-of-quota-[^/]+/deployments/", 400, OUT_OF_QUOTA)),
    Trouble("bad-argument", "DEPLOY_FAILED", "BadArgument", _put("/bad-argument-[^/]+/deployments/", 400, REFUSED)),
    Trouble(
        "image-build",
        "DEPLOY_FAILED",
        "is Failed: ImageBuildFailure: conda could not resolve",
        outcome={
            "code": "ImageBuildFailure",
            "message": "conda could not resolve",
            "log": "Solving environment: failed",
        },
        logged="Solving environment",
    ),
    Trouble(
        "not-ready",
        "DEPLOY_FAILED",
        "is Failed: ResourceNotReady: User container has crashed",
        outcome={"code": "ResourceNotReady", "message": "User container has crashed.", "log": "Killed: out of memory"},
        logged="out of memory",
    ),
    Trouble(
        "stuck",
        "DEPLOY_FAILED",
        "was not ready within 0.1 minutes",
        outcome={"message": "given up", "log": "still pulling", "after_seconds": 3600},
        logged="still pulling",
    ),
    Trouble("canceled", "LIVE", "", _put("/canceled-[^/]+/deployments/", 400, CANCELED, times=2)),
    Trouble("updating", "LIVE", "", _put("/updating-[^/]+/deployments/", 409, BUSY, times=2)),
    Trouble("expired", "LIVE", "", _put("/onlineEndpoints/expired-", 401, EXPIRED, times=3)),
    Trouble("taken", "LIVE", "", suffix="-1", settings=lambda name: {"taken_endpoint_names": [name]}),
)


STUCK_IS_MADE = {"method": "PUT", "path": "/stuck-[^/]+/deployments/"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud with every trouble in it."""
    with Cloud(tmp_path_factory.mktemp("cloud"), settings=SETTINGS) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def ended(cloud: Cloud) -> dict[str, End]:
    """How each trouble ended, by its dataset; as it was when all had, whatever the tests do to them then."""
    azureml = AzureML(cloud)
    with Droptune(cloud.description) as app:
        for trouble in TROUBLES:
            _provoke(azureml, trouble, _endpoint(app, trouble.dataset))
        for trouble in TROUBLES:
            app.drop(f"{trouble.dataset}.jsonl", dialogues(24))
        wanted = {trouble.dataset for trouble in TROUBLES}

        def ends() -> dict[str, dict[str, Any]]:
            return {row["dataset"]: row for row in app.snapshots() if row["state"] in ("LIVE", "DEPLOY_FAILED")}

        app.wait(lambda: ends().keys() >= wanted - {"stuck"})
        azureml.http.get("requests", params={**STUCK_IS_MADE, "at_least": 1, "timeout": 200}).raise_for_status()
        _restart(cloud, SETTINGS | SHORT_LIMIT)
        app.wait(lambda: "was not ready" in app.snapshots("stuck")[0]["reason"])
        _restart(cloud, SETTINGS)  # the limit holds for taking it away as well
        azureml.clear()
        app.wait(lambda: ends().keys() >= wanted)
        found = {name: _end(app, row["id"]) for name, row in ends().items()}
    azureml.http.close()
    return found


def _end(app: Droptune, snapshot: str) -> End:
    row = app.get(f"snapshots/{snapshot}")
    name = row["dataset"]
    left = [found for found in endpoints(app.cloud) if found.startswith(f"{name}-")]
    return End(row, app.get(f"datasets/{name}"), left)


def _restart(cloud: Cloud, settings: dict[str, str]) -> None:
    cloud.settings = settings
    cloud.restart("host")


def _provoke(azureml: AzureML, trouble: Trouble, endpoint: str) -> None:
    for fault in trouble.faults:
        azureml.fault(**fault)
    if trouble.outcome:
        azureml.http.post(f"deployments/{endpoint}/*", json=trouble.outcome).raise_for_status()
    if trouble.settings:
        azureml.http.put("settings", json=trouble.settings(endpoint)).raise_for_status()


def _endpoint(app: Droptune, dataset: str) -> str:
    address = app.blobs.get_container_client("ledger").url
    return naming.endpoint(naming.installation(address), dataset)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.dataset)
def test_each_trouble_has_its_end_its_message_and_leaves_nothing(
    trouble: Trouble, ended: dict[str, End], app: Droptune
) -> None:
    row, dataset = ended[trouble.dataset].row, ended[trouble.dataset].dataset
    assert row["state"] == trouble.ends, row["reason"]
    assert trouble.said in row["reason"]
    assert (row["needs_attention"], row["fault"]) == (False, None)
    assert (dataset["needs_attention"], dataset["fault"]) == (False, None)
    assert dataset["state"] == ("LIVE" if trouble.ends == "LIVE" else "EMPTY")
    wanted = [_endpoint(app, trouble.dataset) + trouble.suffix] if trouble.ends == "LIVE" else []
    assert ended[trouble.dataset].endpoints == wanted
    if trouble.logged:
        log = row["reason"].rsplit("evaluations/", 1)[1]
        assert trouble.logged in json.loads(app.blob("evaluations", log))["inference-server"]


def test_a_release_that_failed_is_served_after_a_retry(ended: dict[str, End], app: Droptune) -> None:
    failed = ended["not-ready"].id
    assert app.post(f"snapshots/{failed}/retry").status_code == 202
    assert app.wait_for("not-ready", "LIVE")["id"] == failed


def test_a_key_that_was_revoked_is_read_anew(
    ended: dict[str, End], app: Droptune, arm: Callable[..., httpx.Response]
) -> None:
    assert app.ask("canceled", "What is this?").status_code == 200
    endpoint = app.get("datasets/canceled")["endpoint"]
    for key in ("Primary", "Secondary"):
        arm("POST", f"{endpoint}/regenerateKeys", {"keyType": key}).raise_for_status()
    assert app.ask("canceled", "What is this?").status_code == 200


def test_an_endpoint_that_somebody_deleted_sleeps_until_it_is_asked_for(
    ended: dict[str, End], cloud: Cloud, app: Droptune, arm: Callable[..., httpx.Response]
) -> None:
    arm("DELETE", app.get("datasets/updating")["endpoint"]).raise_for_status()
    run_now(cloud, "sweep_due")
    app.wait(lambda: app.get("datasets/updating")["state"] == "ASLEEP")
    assert "its endpoint is gone" in app.get("datasets/updating")["reason"]
    assert app.ask("updating", "What is this?").status_code == 503
    app.wait(lambda: app.get("datasets/updating")["state"] == "LIVE")
    assert app.wait(lambda: app.ask("updating", "What is this?").status_code == 200)


@pytest.fixture
def arm(app: Droptune) -> Callable[..., httpx.Response]:
    """What an administrator does to endpoints, past the app."""
    from local.control_plane import ask_workspace

    return lambda method, path, body=None: ask_workspace(app.cloud, method, f"/onlineEndpoints/{path}", body)
