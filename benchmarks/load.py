"""Whether anybody notices: `python -m benchmarks.load`.

64 callers ask for a minute, half of them for streams, while a rollout moves the traffic and removes the old deployment;
then while the endpoint's keys are replaced. Exit status 1 when a call failed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.serving.scenarios import QUICK, THINKS, LoadReport, key_rotations, rollout
from benchmarks.serving.served import served


def main() -> int:
    """Run both; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each scenario, at least")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), QUICK) as cloud:
        cloud.serve(**THINKS)
        for name, scenario in (("rollout", rollout), ("key rotation", key_rotations)):
            report = asyncio.run(scenario(cloud, options.callers, options.seconds))
            _tell(name, options.callers, report)
            failed += report.seen.failures.total()
    return int(failed > 0)


def _tell(name: str, callers: int, report: LoadReport) -> None:
    seen = report.seen
    print(
        f"{name}: {callers} callers, {len(seen.latencies)} good answers in {seen.seconds:.0f} s, "
        f"p50 {seen.percentile(0.5):.0f} ms, p99 {seen.percentile(0.99):.0f} ms, {seen.failures.total()} failed"
    )
    print(f"  by release: {dict(report.releases)}")
    for wrong, times in seen.failures.most_common(10):
        print(f"  {times} times: {wrong}")


if __name__ == "__main__":
    sys.exit(main())
