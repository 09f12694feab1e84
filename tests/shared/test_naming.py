"""Names: long enough to be unique, short enough and made of what Azure takes, and readable back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared import naming

LONGEST = "9" + "-z" * 20
OURS, THEIRS = "0a1b2c3d", "d3c2b1a0"

datasets = st.from_regex(naming.DATASET, fullmatch=True)
times = st.integers(0, 4_000_000_000).map(float)
attempts = st.integers(1, 9999)
words = st.text(max_size=40)


def _with_odd_names(test: Any) -> Any:
    """Datasets that would trip a careless form: the longest, all digits, hyphens, one that looks like an id."""
    for odd in (LONGEST, "00", "a-", "a--b", "z" * 41, "a-20260101000000-01234567", "dt-01234567-x"):
        test = example(dataset=odd, uploaded_at=1.7e9, etag='"0x1"', attempt=9999)(test)
    return given(dataset=datasets, uploaded_at=times, etag=words, attempt=attempts)(test)


@_with_odd_names
def test_names_have_the_length_and_alphabet_that_azure_takes(
    dataset: str, uploaded_at: float, etag: str, attempt: int
) -> None:
    snapshot = naming.snapshot_id(dataset, uploaded_at, f"snapshots/{dataset}.jsonl", etag)
    endpoint, deployment = naming.endpoint(OURS, dataset), naming.deployment(snapshot, attempt)
    for name in (endpoint, deployment):
        assert re.fullmatch(r"[a-z][a-z0-9-]{1,30}[a-z0-9]", name)
        assert "--" not in name
    version = naming.model_version(snapshot, attempt)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,29}", version)
    job = naming.job(OURS, snapshot, attempt)
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}", job)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", naming.model("meta/Some-Model-3.5", dataset))
    for blob in (naming.frozen(snapshot, "train"), naming.report(snapshot)):
        assert len(blob) <= 1024


@_with_odd_names
def test_a_job_leads_back_to_its_snapshot_and_its_dataset(
    dataset: str, uploaded_at: float, etag: str, attempt: int
) -> None:
    snapshot = naming.snapshot_id(dataset, uploaded_at, "snapshots/x", etag)
    job = naming.job(OURS, snapshot, attempt)
    assert naming.snapshot_of_job(OURS, job) == snapshot
    assert naming.dataset_of(snapshot) == dataset
    assert naming.snapshot_of_job(THEIRS, job) is None


@_with_odd_names
def test_runs_of_child_steps_lead_nowhere(dataset: str, uploaded_at: float, etag: str, attempt: int) -> None:
    job = naming.job(OURS, naming.snapshot_id(dataset, uploaded_at, "snapshots/x", etag), attempt)
    for child in (f"{job}_1", f"{job}-step", f"{job}/finetune", f"HD_{job}", f"{job} ", f"{job}\n", job.upper()):
        assert naming.snapshot_of_job(OURS, child) is None


@given(st.text(max_size=80))
@example("brave_fig_x1y2z3")
@example("5b1d0c1e-0000-4000-8000-000000000001")
@example("dt-0a1b2c3d-support-bot-1")
@example("dt-0a1b2c3d-support-bot-٢٠٢٦٠١٠١٠٠٠٠٠٠-01234567-1")
@example("")
def test_runs_that_are_not_ours_lead_nowhere(run: str) -> None:
    assert naming.snapshot_of_job(OURS, run) is None
    assert naming.dataset_of(run) is None


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("ab", True),
        ("0-", True),
        (LONGEST, True),
        ("a", False),
        ("z" * 42, False),
        ("-ab", False),
        ("Ab", False),
        ("a_b", False),
        ("a.b", False),
        ("a/b", False),
        ("áb", False),
        ("ab\n", False),
        ("", False),
    ],
)
def test_dataset_names(name: str, good: bool) -> None:
    assert bool(naming.DATASET.fullmatch(name)) == good


def test_a_name_is_the_same_each_time() -> None:
    """Names of things that exist already: changing a form would orphan them."""
    snapshot = naming.snapshot_id("support-bot", 1_790_000_000.9, "snapshots/support-bot.jsonl", '"0x8D4BCC2E4835CD0"')
    assert snapshot == "support-bot-20260921141320-" + naming.short_hash(
        "snapshots/support-bot.jsonl", "0x8D4BCC2E4835CD0"
    )
    snapshot = "support-bot-20260921141320-0123abcd"
    assert naming.job(OURS, snapshot, 2) == f"dt-{OURS}-{snapshot}-2"
    assert naming.model("Phi-4", "support-bot") == "Phi-4-support-bot"
    assert naming.model("microsoft/Phi-4", "support-bot") == "microsoft-Phi-4-support-bot"
    assert naming.model_version(snapshot, 2) == "20260921141320-0123abcd-2"
    assert naming.deployment(snapshot, 1) == "r20260921141320-0123abcd"
    assert naming.deployment(snapshot, 2) == "r20260921141320-0123abcd-2"
    assert naming.endpoint(OURS, "support-bot") == f"support-bot-{naming.short_hash(OURS, 'support-bot')}"


def test_the_etag_of_an_event_and_of_a_listing_make_one_id() -> None:
    first, second = (naming.snapshot_id("ab", 0, "snapshots/ab.jsonl", etag) for etag in ('"0x1"', "0x1"))
    assert first == second


@given(datasets, times, times)
def test_ids_of_a_dataset_sort_by_upload_time(dataset: str, one: float, other: float) -> None:
    first, second = (naming.snapshot_id(dataset, t, "snapshots/x", str(t)) for t in sorted((one, other)))
    assert one == other or first < second


@pytest.mark.parametrize("other", [("x", "e1"), ("y", "e0")], ids=["other etag", "other blob"])
def test_another_upload_in_the_same_second_is_another_snapshot(other: tuple[str, str]) -> None:
    assert naming.snapshot_id("ab", 1.0, *other) != naming.snapshot_id("ab", 1.0, "x", "e0")


@given(st.sets(datasets, min_size=2, max_size=30))
def test_endpoints_of_different_datasets_and_installations_differ(names: set[str]) -> None:
    found = {naming.endpoint(installation, name) for name in names for installation in (OURS, THEIRS)}
    assert len(found) == 2 * len(names)


def test_long_names_with_one_beginning_get_different_endpoints() -> None:
    first, second = (naming.endpoint(OURS, "a" * 40 + end) for end in "xy")
    assert first != second
    assert len(first) == len(second) == 32


@pytest.mark.parametrize("spelling", ["https://a.blob.net/ledger/", "HTTPS://A.blob.net/ledger"])
def test_one_ledger_is_one_installation_however_its_address_is_written(spelling: str) -> None:
    assert naming.installation(spelling) == naming.installation("https://a.blob.net/ledger")
    assert naming.installation(spelling) != naming.installation("https://b.blob.net/ledger")


def test_parts_of_a_hash_cannot_run_into_each_other() -> None:
    assert naming.short_hash("a", "bc") != naming.short_hash("ab", "c")


def test_tags_say_whose_a_thing_is() -> None:
    assert naming.tags(OURS, "ab", "ab-x", 2) == {
        "droptune.installation": OURS,
        "droptune.dataset": "ab",
        "droptune.snapshot": "ab-x",
        "droptune.attempt": "2",
    }
