"""Makes the zip that `azd deploy` would upload, and says how large it is: `make package`.

Dependencies are installed by the hook that azd runs as well; what `.funcignore` names is left out. Every dependency
over 20 MB has its reason below: one without a reason ends this with exit status 1. A repeat makes the same zip.
"""

from __future__ import annotations

import fnmatch
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "dist" / "droptune.zip"
PACKAGES = ".python_packages/lib/site-packages/"
LARGE = 20_000_000
REASONS = {
    "pyarrow": "reads and writes Parquet, by ranges and in bounded memory; its flight and S3 parts are left out",
    "azure": "the SDKs: azure-ai-ml alone is 20 MB, the rest storage, identity, Event Grid, metrics, functions",
    "numpy": "looks through the bytes of many rows at once; pyarrow hands over to it",
}
# Every wheel's file has the time of the first day that a zip can have: the same content is the same zip.
_DAY = (1980, 1, 1, 0, 0, 0)


def package(root: Path, target: Path, *, dependencies: bool = True) -> list[str]:
    """Zips a folder but for what `.funcignore` names, as azd does; the names in the zip."""
    patterns = [line for line in (root / ".funcignore").read_text().splitlines() if line and line[0] != "#"]
    names = []
    target.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6 if dependencies else 1) as archive:
        for path in sorted(_files(root, patterns)):
            name = path.relative_to(root).as_posix()
            if dependencies or not name.startswith(".python_packages/"):
                info = zipfile.ZipInfo(name, _DAY)
                info.external_attr, info.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
                archive.writestr(info, path.read_bytes())
                names.append(name)
    return names


def _files(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """The files below a folder that no pattern names."""
    for path in folder.iterdir():
        name = f"{path.name}/" if path.is_dir() else path.name
        if any(fnmatch.fnmatch(name, one) or fnmatch.fnmatch(path.name, one.rstrip("/")) for one in patterns):
            continue
        if path.is_dir():
            yield from _files(path, patterns)
        else:
            yield path


def sizes(archive: Path) -> Counter[str]:
    """Unpacked bytes of each dependency, its shared libraries and its metadata with it."""
    found: Counter[str] = Counter()
    with zipfile.ZipFile(archive) as opened:
        for one in opened.infolist():
            if one.filename.startswith(PACKAGES):
                name = one.filename.removeprefix(PACKAGES).split("/")[0]
                found[name.removesuffix(".libs").partition("-")[0].lower()] += one.file_size
    return found


def report(archive: Path) -> Iterator[str]:
    """Lines for people: the zip, what is in it, and why what is large is there."""
    found = sizes(archive)
    with zipfile.ZipFile(archive) as opened:
        app = sum(one.file_size for one in opened.infolist() if not one.filename.startswith(".python_packages/"))
    whole = sum(found.values()) + app
    yield f"{archive.name}: {archive.stat().st_size / 1e6:.0f} MB zipped, {whole / 1e6:.0f} MB unpacked;"
    yield f"  the app itself {app / 1e6:.1f} MB, {len(found)} packages {sum(found.values()) / 1e6:.0f} MB"
    for name, size in found.most_common():
        if size > LARGE:
            yield f"  {name} {size / 1e6:.0f} MB: {REASONS.get(name, 'NO REASON GIVEN')}"


def main() -> int:
    """Install, zip, report."""
    hook = ROOT / "infra" / "hooks" / "prepackage.py"
    if code := subprocess.run([sys.executable, str(hook)], check=False).returncode:
        return code
    package(ROOT, TARGET)
    lines = list(report(TARGET))
    print("\n".join(lines))
    return 1 if any("NO REASON" in line for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
