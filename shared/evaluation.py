"""The gate: a candidate at 0 % of the traffic must answer held-out prompts before anybody else asks it anything.

Prompts come from the frozen test file, whose rows no release of the dataset was ever trained on. Each answer is stored
as it comes, so a gate that is cut off goes on where it stopped and never asks a prompt twice without need.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import naming, scoring
from shared.errors import LedgerConflict, ServiceBusy, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.clients import Parts
    from shared.records import Dataset, Release
    from shared.storage import Lease

# One visit to the gate asks for so long (s) at most; the next one goes on.
VISIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How many prompts were to be asked, were asked, and failed; `detail` says what the first failure was."""

    wanted: int
    asked: int
    failed: int
    detail: str = ""

    @property
    def complete(self) -> bool:
        """Whether every prompt has its answer."""
        return self.asked >= self.wanted

    @property
    def error_percent(self) -> float:
        """Share of the prompts that failed or were answered with nothing."""
        return 100.0 * self.failed / self.asked if self.asked else 0.0


def evaluate(parts: Parts, row: Dataset, release: Release, lease: Lease) -> Evaluation:
    """Asks the candidate the prompts that have no stored answer yet, as many as one visit allows.

    Raises ServiceBusy when the endpoint asks for patience: that says nothing about the model.
    """
    prompts = held_out(parts, release.snapshot, parts.settings.gate_prompts)
    folder = f"{release.snapshot}/{release.deployment}"
    stored = {b.name: b for b in parts.storage.list("evaluations", f"{folder}/")}
    missing = [(i, p) for i, p in enumerate(prompts) if f"{folder}/{i:04d}.json" not in stored]
    if missing:
        asyncio.run(_ask(parts, row, release, folder, missing, lease))
    return _judged(parts, folder, len(prompts))


def held_out(parts: Parts, snapshot: str, count: int) -> list[list[dict[str, str]]]:
    """The first held-out dialogues up to their last user turn, which is what is asked."""
    prompts = []
    for row in _rows(parts, snapshot):
        turns = row["messages"]
        last = max((i for i, turn in enumerate(turns) if turn["role"] == "user"), default=-1)
        if last >= 0:
            prompts.append(turns[: last + 1])
        if len(prompts) == count:
            break
    return prompts


def _rows(parts: Parts, snapshot: str) -> Iterator[dict[str, Any]]:
    name = naming.frozen(snapshot, "test")
    with parts.storage.open("frozen", name, parts.storage.look("frozen", name).etag) as file:
        for line in file:
            yield json.loads(line)


async def _ask(
    parts: Parts,
    row: Dataset,
    release: Release,
    folder: str,
    missing: list[tuple[int, list[dict[str, str]]]],
    lease: Lease,
) -> None:
    key = await asyncio.to_thread(parts.workspace.key, row.endpoint)
    until = time.monotonic() + VISIT_SECONDS
    parameters = {"max_new_tokens": parts.settings.max_new_tokens}
    try:
        for number, prompt in missing:
            lease.check()
            if time.monotonic() > until:
                return
            started = time.perf_counter()
            answer = await parts.scorer.ask(
                row.scoring_uri,
                key,
                scoring.payload(prompt, parameters),
                parts.settings.scoring_timeout_seconds,
                deployment=release.deployment,
            )
            if answer.status in (401, 404, 429, 503):
                raise ServiceBusy(f"{row.endpoint}/{release.deployment} answered HTTP {answer.status}: {answer.detail}")
            _store(parts, f"{folder}/{number:04d}.json", prompt, answer, time.perf_counter() - started)
    finally:
        await parts.scorer.close()


def _store(parts: Parts, name: str, prompt: Any, answer: scoring.Answer, seconds: float) -> None:
    """Keeps prompt and answer in the user's own storage; the first answer stays."""
    kept = {
        "prompt": prompt,
        "status": answer.status,
        "answer": answer.text,
        "good": answer.good,
        "detail": answer.detail,
        "seconds": round(seconds, 4),
    }
    try:
        parts.storage.create("evaluations", name, json.dumps(kept).encode())
    except LedgerConflict:
        return


def _judged(parts: Parts, folder: str, wanted: int) -> Evaluation:
    asked = failed = 0
    detail = ""
    for blob in parts.storage.list("evaluations", f"{folder}/"):
        try:
            kept = json.loads(parts.storage.read("evaluations", blob.name)[0])
        except Unknown:
            continue
        asked += 1
        if not kept["good"]:
            failed += 1
            detail = detail or kept["detail"] or f"HTTP {kept['status']} with an empty answer"
    return Evaluation(wanted, asked, failed, detail)
