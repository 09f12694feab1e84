"""Before `azd package`: installs what the app imports into `.python_packages`, as wheels for its platform.

Any machine will do, whatever its system and Python: nothing is compiled. Run by azd and `make package`. A repeat with
the same requirements finds them there and does nothing.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "3.13"
# What Flex Consumption is: newest first, since a wheel may be there for one of them only.
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
# What comes in the wheels and nothing needs when the app runs: headers, sources, tests, programs; of Arrow its network
# protocol (flight) and its own client of Amazon's storage.
UNUSED = (
    *("pyarrow/include", "pyarrow/tests", "pyarrow/src", "pyarrow/*flight*", "pyarrow/*_s3*"),
    *("numpy/**/tests", "numpy/_core/include", "azure/**/tests", "lxml/includes", "**/__pycache__", "bin"),
)


def main(root: Path = ROOT) -> int:
    """Install, unless it is done."""
    wanted = digest(root / "requirements.txt")
    target = root / ".python_packages" / "lib" / "site-packages"
    mark = root / ".python_packages" / "requirements.sha256"
    if mark.exists() and mark.read_text() == wanted:
        print("dependencies: are there")
        return 0
    shutil.rmtree(root / ".python_packages", ignore_errors=True)
    done = subprocess.run(command(root / "requirements.txt", target), check=False)
    if done.returncode:
        print("dependencies: pip could not install them (above); the app is not packaged", file=sys.stderr)
        return 1
    remove_unused(target)
    mark.write_text(wanted)
    print(f"dependencies: {size(target) / 1e6:.0f} MB in {target.relative_to(root)}")
    return 0


def command(requirements: Path, target: Path) -> list[str]:
    """pip's command line: wheels for the platform, and nothing that this machine would have to build."""
    platforms = [option for name in PLATFORMS for option in ("--platform", name)]
    return [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
        *("--target", str(target), "--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"),
        *platforms,
        *("--requirement", str(requirements)),
    ]


def remove_unused(target: Path) -> None:
    """Takes out what nothing imports."""
    for pattern in UNUSED:
        for path in sorted(target.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def digest(requirements: Path) -> str:
    """What decides whether an installation is the wanted one: the requirements, and this file."""
    parts = requirements.read_bytes() + Path(__file__).read_bytes()
    return hashlib.sha256(parts).hexdigest()


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
