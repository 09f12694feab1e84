"""The host is killed in every costly act and at random points, started again, and the story ends as if nothing was."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from azure.storage.blob import BlobLeaseClient
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from benchmarks.checking.large import write_large
from benchmarks.killed_host import DEADLY, tell
from local.cloud import Cloud
from local.control_plane import endpoints
from local.droptune import Droptune
from tests.e2e.conftest import AzureML
from tests.fakes import dialogues

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_three_drops_and_every_event_three_times_in_reverse(cloud: Cloud, app: Droptune, azureml: AzureML) -> None:
    import httpx

    broker = cloud.description["eventgrid_url"]
    before = _made(azureml)
    httpx.put(f"{broker}/faults", json={"duplicate": 2, "reorder": True, "hold": True}).raise_for_status()
    for name in ("a", "b", "c"):
        app.drop(f"triple/{name}.jsonl", (EXAMPLES / "support-bot.jsonl").read_bytes())
    httpx.get(f"{broker}/settled", params={"timeout": 1})
    httpx.post(f"{broker}/release").raise_for_status()

    def settled() -> bool:
        states = [row["state"] for row in app.snapshots("triple")]
        return len(states) == 3 and all(s in ("LIVE", "DUPLICATE", "SUPERSEDED") for s in states) and "LIVE" in states

    app.wait(settled)
    httpx.put(f"{broker}/faults", json={}).raise_for_status()
    assert [row["state"] for row in app.snapshots("triple")].count("LIVE") == 1
    made = {what: found - before[what] for what, found in _made(azureml).items()}
    assert {what: len(found) for what, found in made.items()} == dict.fromkeys(made, 1)


# The acts that must not happen twice, by the request that is under way when the host dies. `after`: it took effect.
ACTS: tuple[dict[str, object], ...] = (
    {"method": "GET", "path": r"/registries/azureml/models/"},  # validation
    {"method": "PUT", "path": r"/jobs/", "after": True},  # submission
    {"method": "PUT", "path": r"/models/[^/]+/versions/", "after": True},  # registration
    {"method": "PUT", "path": r"/deployments/", "after": True},  # deployment
)
SEED = 20_261_125
ANY = r"/providers/Microsoft\.MachineLearningServices/"


def random_point(dice: random.Random) -> dict[str, object]:
    """A request to Azure ML, each second time a write, before or after it took effect."""
    request = {"method": "PUT", "skip": dice.randint(0, 1)} if dice.random() < 0.5 else {"skip": dice.randint(0, 6)}
    return {"path": ANY, "after": dice.random() < 0.5, **request}


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.nightly)])
def test_a_host_killed_in_every_act_and_at_random_points_ends_with_one_of_each(
    cloud: Cloud, app: Droptune, azureml: AzureML, kills: int
) -> None:
    first, second = f"first{kills}", f"second{kills}"
    # What is dropped before which random kill: another dataset, and a second release while the first one serves.
    drops = {0: f"{second}/1.jsonl", kills // 3: f"{first}/2.jsonl"}

    def kill(point: dict[str, object], seconds: float) -> bool:
        fault = azureml.fault(hold=True, times=1, **point)
        came = azureml.came(fault, seconds)
        cloud.kill("host")
        azureml.clear()
        hasten(app)
        cloud.start("host")
        return came

    def validated() -> bool:
        rows = [row for name in (first, second) for row in app.snapshots(name)]
        return not {"RECEIVED", "VALIDATING"} & {row["state"] for row in rows}

    app.drop(f"{first}/1.jsonl", dialogues(24, first))
    for act in ACTS:
        assert kill(act, seconds=200), f"never came to {act}"
        assert app.snapshots(first), f"the row is there after the kill in {act}"
    dice = random.Random(SEED)
    for number in range(kills):
        if path := drops.get(number):
            app.drop(path, dialogues(24, path))
        kill(random_point(dice), seconds=4)  # else nothing moves just now: that is a point as well
        if number % 4 == 3:  # on a slow machine all would hit one check, which is given up after the fifth
            app.wait(validated)

    def settled() -> list[dict[str, object]] | None:
        rows = [row for name in (first, second) for row in app.snapshots(name)]
        ended = all(row["state"] in ("LIVE", "RETIRED", "SUPERSEDED") for row in rows)
        return rows if ended and len(rows) == 3 and rows[0]["state"] == rows[-1]["state"] == "LIVE" else None

    rows = app.wait(settled, timeout=400)
    assert all(not row["needs_attention"] and row["attempt"] == 1 for row in rows)
    for row in rows:
        trained = row["state"] != "SUPERSEDED" or bool(row["job"])
        for what in ("/jobs/", "/models/"):
            of_it = {path for path in azureml.wrote(what) if str(row["id"]).split("-", 1)[1] in path}
            assert len(of_it) == trained, (what, row["id"], of_it)
    for name in (first, second):
        assert len([found for found in endpoints(app.cloud) if found.startswith(f"{name}-")]) == 1


IN_SMALL_PARTS = {"VALIDATION_PART_MB": "10", "VALIDATION_SPREAD_FROM_MB": "10"}


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz"])
def test_a_large_file_on_a_host_that_is_killed_again_and_again_is_validated(tmp_path: Path, kind: str) -> None:
    """Each life of the host ends once it has checked another part; `benchmarks.killed_host` goes by the clock."""
    file = tmp_path / f"rows.{kind}"
    rows = write_large(file, 40)
    story = tell(tmp_path, file, 0, IN_SMALL_PARTS, 900, as_it_goes=True)
    assert story.state not in ("", "RECEIVED", "VALIDATING", "REJECTED"), story
    assert not story.reason or story.reason.startswith(f"{rows} of {rows} rows are used"), story


@pytest.mark.nightly
def test_a_row_that_ends_every_host_that_reads_it_is_named_by_its_part(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    write_large(file, 40, b'{"messages": "%s"}' % DEADLY)
    story = tell(tmp_path, file, 0, IN_SMALL_PARTS, 900)
    assert story.state == "REJECTED", story
    found = re.search(r"rows.jsonl \(bytes (\d+) to (\d+)\): its check ended the worker 5 times", story.reason)
    assert found, story
    assert int(found[1]) <= file.read_bytes().index(DEADLY) < int(found[2])


def hasten(app: Droptune) -> None:
    """What half a minute would bring while no host runs: leases run out, and a sweep has every row looked at."""
    locks = app.blobs.get_container_client("locks")
    for blob in locks.list_blobs():
        if blob.lease.state == "leased":
            BlobLeaseClient(locks.get_blob_client(blob.name)).break_lease(lease_break_period=0)
    text = app.cloud["storage_connection_string"]
    with QueueClient.from_connection_string(text, "due", message_encode_policy=TextBase64EncodePolicy()) as queue:
        for kind in ("snapshot", "dataset"):
            for name in app.names("ledger", f"{kind}s/"):
                queue.send_message(f"{kind}/{name.rsplit('/', 1)[1].removesuffix('.json')}?")


def _made(azureml: AzureML) -> dict[str, set[str]]:
    endpoints = {path for path in azureml.wrote("/onlineEndpoints/") if "/deployments/" not in path}
    return {
        "job": azureml.wrote("/jobs/"),
        "model": azureml.wrote("/models/"),
        "endpoint": endpoints,
        "deployment": azureml.wrote("/deployments/"),
    }
