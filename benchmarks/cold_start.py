"""How long people wait for the first answer of a cold app: `python -m benchmarks.cold_start`.

This app against the same health route in an app that imports azure.ai.ml at its top, as samples do. Each start is a
fresh process of the local host; the two take turns, so that a busy moment hits both. Storage is not needed: the host
is given an address where none is, and retries it in the background.
"""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from local.ports import free_port

ROOT = Path(__file__).parent.parent
LIMIT = 120.0
NAIVE = """
import azure.functions as func
from azure.ai.ml import MLClient

app = func.FunctionApp()


@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse('{"status": "ok"}')
"""
INDEX = "import function_app; function_app.app.get_functions(); print('indexed', flush=True)"


def environment() -> dict[str, str]:
    """The least settings; the storage account is at a port where nothing listens."""
    storage = (
        "DefaultEndpointsProtocol=http;AccountName=nobody;AccountKey=bm9ib2R5;"
        "BlobEndpoint=http://127.0.0.1:9/nobody;QueueEndpoint=http://127.0.0.1:9/nobody"
    )
    ids = dict.fromkeys(("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE"), "none")
    return {**os.environ, **ids, "AzureWebJobsStorage": storage, "DATA": storage, "PYTHONPATH": str(ROOT)}


def indexed(app: Path) -> float:
    """Seconds from process start until the app's functions are known, without any host."""
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", INDEX], cwd=app, env=environment(), stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        told = child.stdout.readline()
        seconds = time.perf_counter() - started
    if told != "indexed\n":
        raise SystemExit(f"{app} could not be indexed")
    return seconds


def answered(app: Path, state: Path) -> float:
    """Seconds from process start to the first HTTP answer through the local host."""
    port = free_port()
    command = [sys.executable, "-m", "local.host", "--app", str(app), "--port", str(port), "--folder", str(state)]
    with (state / "host.log").open("w") as log:
        started = time.perf_counter()
        child = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=log, stderr=log)
        try:
            status = _first_answer(port, child)
            seconds = time.perf_counter() - started
        finally:
            child.terminate()
            child.wait()
    if status != 200:
        raise SystemExit(f"HTTP {status}:\n{(state / 'host.log').read_text()}")
    return seconds


def _first_answer(port: int, child: subprocess.Popen[bytes]) -> int:
    """The status of the first answer. The host listens before it indexes, so an early question just waits."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline and child.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        try:
            connection.request("GET", "/api/health")
            return connection.getresponse().status
        except ConnectionRefusedError:
            time.sleep(0.005)
        finally:
            connection.close()
    return 0


def main() -> None:
    """Measure and print a table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        naive, state = Path(folder, "naive"), Path(folder, "state")
        naive.mkdir()
        state.mkdir()
        (naive / "function_app.py").write_text(NAIVE)
        apps = {"this app": ROOT, "azure.ai.ml at the top": naive}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in apps}
        for app in apps.values():  # once for the byte code and the disk cache
            answered(app, state)
        for _ in range(options.rounds):
            for name, app in apps.items():
                found[name].append((indexed(app), answered(app, state)))
    report(found)


def report(found: dict[str, list[tuple[float, float]]]) -> None:
    """Medians with the spread, and the ratio of each round."""
    rounds = len(next(iter(found.values())))
    print(f"{rounds} interleaved rounds, seconds from process start: median (fastest to slowest)")
    print("| app | indexed | first HTTP answer |")
    print("|---|---|---|")
    for name, times in found.items():
        print(f"| {name} | {' | '.join(_spread([pair[i] for pair in times]) for i in (0, 1))} |")
    ours, naive = found.values()
    for i, what in enumerate(("indexed", "first HTTP answer")):
        ratios = [b[i] / a[i] for a, b in zip(ours, naive, strict=True)]
        print(f"{what}: {statistics.median(ratios):.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f})")


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main()
