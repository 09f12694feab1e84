"""`make bench`: every benchmark in this folder, one after the other, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> int:
    """Runs them; the exit status is that of the first one that failed."""
    for file in sorted(FOLDER.glob("[a-z]*.py")):
        print(f"\n## {file.stem}\n", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{file.stem}"], cwd=FOLDER.parent, check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
