"""What goes on while callers ask: a rollout that ends with the old deployment's removal, and keys that are replaced.

Run at full length by `benchmarks.load` and briefly by the tests. No call may fail.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from benchmarks.serving.callers import Ask, CallStatistics, TimedRequest, ask_while, connections
from benchmarks.serving.served import DATASET, Served
from local.parts import ROOT

# The model takes its time, so that questions are under way whenever something is changed.
THINKS = {"streams": True, "answer_seconds": 0.5, "word_seconds": 0.02}
# For an endpoint whose deployments change quickly: short stages, and nothing kept to go back to.
QUICK = {"ROLLOUT_STAGES": "50,100", "ROLLOUT_BAKE_MINUTES": "0.03", "ROLLBACK_KEEP_HOURS": "0"}


@dataclass
class LoadReport:
    """What the callers saw, and by which releases they were answered how often."""

    seen: CallStatistics = field(default_factory=CallStatistics)
    releases: Counter[str] = field(default_factory=Counter)


async def rollout(served: Served, callers: int, seconds: float) -> LoadReport:
    """A new snapshot is dropped and goes live by stages; the old deployment is removed. For so long at least."""
    number = itertools.count(len(served.deployments()))

    async def change() -> None:
        await asyncio.to_thread(_release, served, next(number))

    return await _under_load(served, callers, seconds, change)


async def key_rotations(served: Served, callers: int, seconds: float) -> LoadReport:
    """Both keys of the endpoint are replaced, one after the other. For so long at least."""

    async def change() -> None:
        for kind in ("Primary", "Secondary", "Primary"):
            await asyncio.to_thread(served.replace_key, kind)
            await asyncio.sleep(seconds / 4)

    return await _under_load(served, callers, seconds, change)


async def _under_load(
    served: Served, callers: int, seconds: float, change: Callable[[], Awaitable[None]]
) -> LoadReport:
    """Half of the callers want whole answers, the others streams; all go on until the change is complete."""
    report, loop = LoadReport(), asyncio.get_running_loop()
    begun = loop.time()
    changing = asyncio.ensure_future(change())

    def more() -> bool:
        return not changing.done() or loop.time() < begun + seconds

    async with connections(str(served.cloud.wiring.azureml_ca)) as session:
        asks = [_noting(question, session, report) for question in (served.completion(), served.streamed())]
        halves = (callers - callers // 2, callers // 2)
        pairs = zip(halves, asks, strict=True)
        parts = await asyncio.gather(*(ask_while(more, half, ask) for half, ask in pairs))
    for part in parts:
        report.seen.merge(part)
    report.seen.seconds = loop.time() - begun
    await changing
    return report


def _noting(question: TimedRequest, session: aiohttp.ClientSession, report: LoadReport) -> Ask:
    """Asks, and notes which release has answered."""

    def note(text: str) -> None:
        body = text.removeprefix("data: ").split("\n", 1)[0]
        report.releases[json.loads(body)["model"]] += 1

    return question.bound_to(session, note)


def _release(served: Served, number: int) -> None:
    """One more dialogue makes another snapshot; returns once it is live and what was live before is gone."""
    before = served.deployments()
    told = [
        {"role": "user", "content": f"What is number {number}?"},
        {"role": "assistant", "content": f"It is {number}."},
    ]
    more = json.dumps({"prompt": told[0]["content"], "prompt_id": f"more-{number}", "messages": told})
    rows = (ROOT / "examples" / f"{DATASET}.jsonl").read_text().rstrip("\n")
    served.app.drop(f"{DATASET}/more-{number}.jsonl", f"{rows}\n{more}\n".encode())
    newest = served.app.wait_for(DATASET, "LIVE", "WITHHELD", "ROLLED_BACK", "DEPLOY_FAILED", timeout=300)
    if newest["state"] != "LIVE":
        raise RuntimeError(f"{newest['id']} is {newest['state']}: {newest['reason']}")
    served.app.wait(lambda: not served.deployments() & before, timeout=300)
