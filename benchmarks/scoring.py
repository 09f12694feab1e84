"""What asking a model through the app costs: `python -m benchmarks.scoring`.

One local cloud, one model server behind all. Compared at 1, 16 and 64 callers on kept connections: a direct POST to the
scoring URI, an empty function in the same kind of host, both routes of the app, the SDK's `invoke` in this process and
a handler built on it. All take turns, so that a busy moment of the machine hits each. Once with a model that answers at
once, so that only what is around it is measured, and once with one that thinks as long as a short answer takes. Then:
time from a cold process to the first answer, an empty function's for the floor, and the app's memory over many calls.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.serving.callers import Ask, CallStatistics, TimedRequest, ask_for, ask_times, connections
from benchmarks.serving.served import DATASET, QUESTION, Served, first_answer, hosted, served
from local.parts import ROOT

APPS = Path(__file__).parent / "serving"
CALLERS = (1, 16, 64)
DIRECT, EMPTY, COMPLETION, SCORE = "direct POST", "empty function", "app, chat completion", "app, score route"
NAIVE, INVOKE = "handler on invoke", "invoke in this process"
MEASURED = (DIRECT, EMPTY, COMPLETION, SCORE, NAIVE, INVOKE)
# What a language model needs for a short answer on a good machine.
THINKING = 0.5
MIB = 2**20

type Table = dict[tuple[str, int], CallStatistics]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each contender in each round")
    parser.add_argument("--cold", type=int, default=5, help="cold starts of each app")
    parser.add_argument("--calls", type=int, default=20_000, help="calls over which memory is watched")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(Path(folder, "cloud")) as cloud, cloud.environment_set():
        if options.rounds:
            asyncio.run(_warm(cloud, Path(folder), options.rounds, options.seconds))
        if options.cold:
            _cold(cloud, Path(folder), options.cold)
        if options.calls:
            asyncio.run(_memory(cloud, options.calls))


# --- latency and throughput ----------------------------------------------------------------------------------


async def _warm(cloud: Served, folder: Path, rounds: int, seconds: float) -> None:
    with _others(cloud, folder) as others:
        questions = {DIRECT: cloud.direct(), COMPLETION: cloud.completion(), SCORE: cloud.score(), **others}
        async with connections(str(cloud.cloud.wiring.azureml_ca)) as session:
            asks = {name: question.bound_to(session) for name, question in questions.items()}
            asks[INVOKE] = _invoke(cloud, folder)
            for ask in asks.values():
                await ask_for(seconds / 3, 4, ask)
            print("\nThe model answers at once.\n")
            _report(await _in_turns(asks, CALLERS, rounds, seconds), CALLERS)
            print(f"\nThe model thinks {THINKING:g} s.\n")
            cloud.serve(answer_seconds=THINKING)
            # Long enough for the slowest contender to answer each caller a few times.
            _report(await _in_turns(asks, CALLERS[-1:], 1, seconds + 24 * THINKING), CALLERS[-1:])
            cloud.serve()


async def _in_turns(asks: Mapping[str, Ask], callers: Sequence[int], rounds: int, seconds: float) -> Table:
    seen: Table = {(name, many): CallStatistics() for name in MEASURED for many in callers}
    for _ in range(rounds):
        for many in callers:
            for name in MEASURED:
                seen[name, many].add(await ask_for(seconds, many, asks[name]))
    return seen


@contextmanager
def _others(cloud: Served, folder: Path) -> Iterator[dict[str, TimedRequest]]:
    """The empty function and the handler on `invoke`, each in a host of its own."""
    with ExitStack() as stack:
        empty = stack.enter_context(hosted(APPS / "empty", folder / "empty", cloud.environment))
        naive = stack.enter_context(hosted(APPS / "naive", folder / "naive", cloud.environment))
        questions = {
            EMPTY: empty.question("ask", cloud.native, QUESTION),
            NAIVE: naive.question("ask", cloud.native, cloud.expected),
        }
        for host, question in ((empty, questions[EMPTY]), (naive, questions[NAIVE])):
            first_answer(host, question)
        yield questions


def _invoke(cloud: Served, folder: Path) -> Ask:
    """The SDK's own call. It blocks, so each caller has a thread; made beforehand, as a server's would be."""
    file = folder / "request.json"
    file.write_text(json.dumps(cloud.native))
    threads = ThreadPoolExecutor(max(CALLERS))
    expected, endpoints, endpoint = cloud.expected, cloud.ml.online_endpoints, cloud.endpoint

    def call() -> str:
        try:
            answer = endpoints.invoke(endpoint_name=endpoint, request_file=file)
        except Exception as error:  # noqa: BLE001 (whatever it raises is counted)
            return f"{type(error).__name__}: {str(error)[:120]}"
        return "" if expected in answer else f"another answer: {answer[:120]}"

    async def ask() -> str:
        return await asyncio.get_running_loop().run_in_executor(threads, call)

    return ask


def _report(seen: Table, counts: Sequence[int]) -> None:
    print("| asked | callers | p50, ms | p99, ms | good answers a second | failed |")
    print("|---|---|---|---|---|---|")
    for callers in counts:
        for name in MEASURED:
            each = seen[name, callers]
            p50, p99 = each.percentile(0.5), each.percentile(0.99)
            failed = sum(each.failures.values())
            print(f"| {name} | {callers} | {p50:.2f} | {p99:.2f} | {each.per_second:.0f} | {failed} |")
    for (name, callers), each in seen.items():
        for wrong, times in each.failures.most_common(3):
            print(f"failed: {name}, {callers} callers, {times} times: {wrong}")
    print()
    for callers in counts:
        for name in (COMPLETION, SCORE):
            _compare(seen, name, callers)


def _compare(seen: Table, name: str, callers: int) -> None:
    ours, direct, empty = seen[name, callers], seen[DIRECT, callers], seen[EMPTY, callers]
    added = [ours.percentile(share) - direct.percentile(share) for share in (0.5, 0.99)]
    beyond = [more - empty.percentile(share) for more, share in zip(added, (0.5, 0.99), strict=True)]
    naive, invoke = seen[NAIVE, callers], seen[INVOKE, callers]
    print(
        f"{name}, {callers} callers: added over direct p50 {added[0]:.2f}, p99 {added[1]:.2f} ms; "
        f"beyond an empty function p50 {beyond[0]:.2f}, p99 {beyond[1]:.2f} ms; "
        f"throughput {ours.per_second / naive.per_second:.1f} x the handler on invoke, "
        f"{ours.per_second / invoke.per_second:.1f} x invoke, {ours.per_second / direct.per_second:.2f} x direct"
    )


# --- cold process --------------------------------------------------------------------------------------------


def _cold(cloud: Served, folder: Path, rounds: int) -> None:
    """From process start to the first scored answer, in turns; the first round warms the disk and is left out."""
    apps = {
        "this app": (ROOT, f"score/{DATASET}", cloud.expected),
        "azure.ai.ml at the top": (APPS / "naive", "ask", cloud.expected),
        EMPTY: (APPS / "empty", "ask", QUESTION),
    }
    taken: dict[str, list[float]] = {name: [] for name in apps}
    for number in range(rounds + 1):
        for name, (app, route, expected) in apps.items():
            begun = time.perf_counter()
            with hosted(app, folder / f"cold {name}", cloud.environment) as host:
                first_answer(host, host.question(route, cloud.native, expected))
                if number:
                    taken[name].append(time.perf_counter() - begun)
    print("\n| cold process to the first scored answer | median, s | fastest to slowest, s |")
    print("|---|---|---|")
    for name, seconds in taken.items():
        print(f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f} to {max(seconds):.2f} |")
    ours, naive, empty = map(statistics.median, taken.values())
    beyond = (ours - empty) / (naive - empty)
    print(f"this app takes {ours / naive:.2f} of the other's time; beyond an empty function's, {beyond:.2f}")


# --- memory --------------------------------------------------------------------------------------------------


async def _memory(cloud: Served, calls: int) -> None:
    """The host's memory while the app answers; the first tenth fills caches and pools and is shown apart."""
    print("\n| calls | memory of the app's process, MiB | failed |\n|---|---|---|")
    sizes: list[float] = []
    async with connections(str(cloud.cloud.wiring.azureml_ca)) as session:
        ask = cloud.completion().bound_to(session)
        for part in range(11):
            seen = await ask_times(calls // 10, 16, ask)
            sizes.append(cloud.host.memory_info().rss / MIB)
            print(f"| {(part + 1) * calls // 10} | {sizes[-1]:.1f} | {sum(seen.failures.values())} |")
    print(f"grew by {sizes[-1] - sizes[0]:.1f} MiB over the last {calls} calls")


if __name__ == "__main__":
    main()
