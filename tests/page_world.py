"""A world as the page shows it best: datasets in every state, and names and texts of people who mean no good."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz

from shared.azure.inference import EndpointAnswer
from shared.ledger.imports import ImportRequest
from shared.ledger.release import CallResult
from shared.operations import imports, nightly, sweep
from tests.fakes import KEY, World, dialogues

EXAMPLES = Path(__file__).parents[1] / "examples"
READER_KEY = "the-key-of-a-reader"
SCRIPT = "<script>alert('owned')</script>"
# What would break out of text, of an attribute in either quotes, of an address, or of the page's own markup.
HOSTILE = f"{SCRIPT}\"'><img src=x onerror=alert(1)> {{{{7*7}}}} </textarea></title> שלום עולם"
PRICES = {"Standard_NC24ads_A100_v4": 3.67}


def page_world(**settings: Any) -> World:
    """The whole world: live, being shifted, asleep, refused, failed, waiting for a person, under attack."""
    given = {
        "page_keys": KEY,
        "page_reader_keys": READER_KEY,
        "prices": PRICES,
        "currency": "USD",
        "rollout_bake_minutes": 10,
        "rollout_wait_minutes": 60,
        "rollback_keep_hours": 24,
        "import_sources": "owner/*, people/dialogues",
        **settings,
    }
    world = World(settings=given)
    world.inference.answers = _nearest_answer()
    for drop in (_live, _failed, _refused, _hostile, _rolling_out):
        drop(world)
    _asked(world)
    _importing(world)
    sweep.sweep(world.services)
    return world


def _nearest_answer() -> Any:
    """Answers as the example's model does: with the training dialogue whose question is most alike."""
    lines = (EXAMPLES / "support-bot.jsonl").read_text().splitlines()
    turns = [json.loads(line)["messages"] for line in lines]
    pairs = [(one[-2]["content"], one[-1]["content"]) for one in turns]

    def answer(deployment: str, question: str) -> EndpointAnswer:
        if question.startswith("What is "):
            return EndpointAnswer(200, f"It is {question.removeprefix('What is ').removesuffix('?')[::-1]}.")
        return EndpointAnswer(200, max(pairs, key=lambda pair: fuzz.ratio(pair[0], question))[1])

    return answer


def _drop(world: World, path: str, data: bytes, until: float = 7200.0) -> None:
    world.clock.now += 61
    world.drop(path, data)
    world.run(until=until)


def _live(world: World) -> None:
    """Two that answer, of which nobody asks one: it is put to sleep."""
    _drop(world, "billing-faq.jsonl", dialogues(60, "billing"), until=20_000)
    world.clock.now += 30 * 3600
    nightly.every_night(world.services)
    world.run(until=7200)
    _drop(world, "support-bot.jsonl", (EXAMPLES / "support-bot.jsonl").read_bytes(), until=20_000)
    _drop(world, "travel-notes/2026-09.jsonl", dialogues(80, "travel"), until=20_000)


def _asked(world: World) -> None:
    """An hour of calls to what is live, most of which are answered."""
    counts, now = world.services.counts, world.clock.now
    deployments = world.services.ledger.dataset("support-bot").row.traffic
    stable = next(iter(deployments))

    def note(at: float, how: CallResult, seconds: float) -> None:
        world.clock.now = at
        counts.note("support-bot", stable, how, seconds)

    async def hour() -> None:
        for minute in range(59, 0, -1):
            for n in range(4 + (minute * 7) % 11):
                how: CallResult = "failed" if minute in (20, 21) and n < 3 else "answered"
                note(now - 60 * minute + n, how, 0.35 + (minute * 13 % 17) / 20 + n / 25)

    asyncio.run(hour())
    world.clock.now = now
    counts.flush()


def _failed(world: World) -> None:
    """A training job that fails, with a log."""
    world.workspace.jobs.outcome = lambda name: "Failed"
    _drop(world, "contract-clauses.jsonl", dialogues(40, "contracts"))
    world.workspace.jobs.outcome = lambda name: "Completed"


def _refused(world: World) -> None:
    """Rows that are refused, a duplicate, and a path that makes no snapshot."""
    _drop(world, "sql-helper.jsonl", (EXAMPLES / "broken.jsonl").read_bytes())
    _drop(world, "travel-notes/again.jsonl", dialogues(80, "travel"))
    _drop(world, "Support_Bot.csv", b"question,answer\n")


def _hostile(world: World) -> None:
    """An uploader who chooses every character."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"{HOSTILE} {n}"},
                {"role": "assistant", "content": f"{SCRIPT * 3} {n}"},
            ],
            SCRIPT: n,
        }
        for n in range(40)
    ]
    bad = [{"messages": [{"role": SCRIPT, "content": "x"}]}, {"messages": "<b>"}]
    options = {"note": f"{HOSTILE} {'long ' * 150}"}
    folder = "uploads-of-a-stranger/" + "x" * 60 + "<img src=x onerror=alert(1)>"
    text = "\n".join(json.dumps(row) for row in [*rows, *bad]).encode()
    for name, data in (("train.jsonl", text), ("snapshot.json", json.dumps(options).encode())):
        world.drop(f"{folder}/{name}", data)
    _drop(world, f"{folder}/_SUCCESS", b"")
    _drop(
        world,
        f"uploads-of-a-stranger/good{HOSTILE[:60].replace('/', '')}.jsonl",
        "\n".join(json.dumps({"messages": row["messages"]}) for row in rows).encode(),
    )


def _importing(world: World) -> None:
    """An import that is next."""
    rows = [{"instruction": f"What is {n}?", "input": "", "output": f"It is {n}."} for n in range(40)]
    world.hub.datasets["owner/alpaca"] = {"train": [rows]}
    imports.start(world.services, ImportRequest(source="owner/alpaca", dataset="alpaca", rows=30), "ada")


def _rolling_out(world: World) -> None:
    """A second version of what is live, half-way through its stages; nobody asks."""
    lines = (EXAMPLES / "support-bot.jsonl").read_bytes()
    _drop(world, "support-bot/2026-10.jsonl", lines + dialogues(30, "more"), until=1500)
