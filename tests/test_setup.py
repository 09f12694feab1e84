"""`make` and the scripts under it. That a fresh clone installs as a whole is what .ci/run shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "scripts"


def sh(script: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-euc", script],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make_version(folder: Path, version: str = "3.13") -> Path:
    """A python that says it is of this version and is otherwise the real one."""
    major, minor = version.split(".")
    real = f'exec {sys.executable} "$@"'
    fake = f'case "$*" in *version_info*) [ "{major}.{minor}" = 3.13 ] || exit 1;; esac\n{real}'
    return program(folder / "python3.13", f"#!/bin/sh\n{fake}\n")


def find_python(path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = "uv_version=0 && with_either_certificates() { false; } && . scripts/ready.sh && . scripts/find_python.sh"
    return sh(f"{script} && find_python", ROOT, PATH=path, **environment)


def test_make_alone_lists_every_target() -> None:
    listed = sh("make").stdout
    for target in ("demo", "test", "test-fast", "check", "up", "down", "status", "bench", "requirements", "clean"):
        assert re.search(rf"^  make {target} +\w", listed, re.MULTILINE), target


@pytest.mark.services
def test_second_setup_does_nothing_and_takes_no_time() -> None:
    assert sh("sh scripts/setup.sh", HOME=str(Path.home())).returncode == 0
    started = time.monotonic()
    again = sh("sh scripts/setup.sh")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert time.monotonic() - started < 0.8


def test_no_file_names_a_package_index() -> None:
    locks = [json.loads(file.read_text()) for file in SCRIPTS.glob("*/package-lock.json")]
    assert locks
    assert [name for lock in locks for name, package in lock["packages"].items() if "resolved" in package] == []
    for file in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / file).read_text().splitlines()
        assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._\[\]-]+==[^ ]+( ; .*)?", line)] == []


def test_python_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    """As pyenv's python3.13 does while another version is selected."""
    program(tmp_path / "shims" / "python3.13", "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n")
    make_version(tmp_path / "bin")
    found = find_python(f"{tmp_path}/shims:{tmp_path}/bin:/usr/bin:/bin", HOME=str(tmp_path))
    assert found.returncode == 0
    assert found.stdout.strip() == os.path.realpath(sys.executable) or found.stdout.strip() == sys.executable


@pytest.mark.parametrize("where", ["PYENV_ROOT", "shims on PATH"])
def test_python_is_found_among_pyenv_versions(tmp_path: Path, where: str) -> None:
    make_version(tmp_path / "pyenv root" / "versions" / "3.13.5" / "bin")
    (tmp_path / "pyenv root" / "shims").mkdir()
    if where == "PYENV_ROOT":
        found = find_python("/usr/bin:/bin", PYENV_ROOT=f"{tmp_path}/pyenv root")
    else:
        found = find_python(f"{tmp_path}/pyenv root/shims:/usr/bin:/bin")
    assert found.returncode == 0, found.stderr


def test_other_versions_are_passed_over(tmp_path: Path) -> None:
    make_version(tmp_path / "old", "3.12")
    good = make_version(tmp_path / "new")
    script = f'. scripts/ready.sh; python_runs "{tmp_path}/old/python3.13" && exit 3; python_runs "{good}"'
    assert sh(script).returncode == 0


def test_without_any_python_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    """Where nothing can be downloaded either."""
    checkout = tmp_path / "checkout"
    shutil.copytree(SCRIPTS, checkout / "scripts")
    script = "find_installed() { :; } && find_python"
    prelude = "uv_version=0 && with_either_certificates() { false; } && . scripts/ready.sh && . scripts/find_python.sh"
    program(tmp_path / "bin" / "uv", "#!/bin/sh\nexit 0\n")
    found = sh(f"{prelude} && {script}", folder=checkout, PATH=f"{tmp_path}/bin:/usr/bin:/bin")
    assert found.returncode != 0
    assert "install Python 3.13" in found.stderr.splitlines()[-1]


def test_lock_lets_one_at_a_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program(tmp_path / "work", f"#!/bin/sh\necho begin >>{log}\nsleep 0.1\necho end >>{log}\n")
    command = [sys.executable, str(SCRIPTS / "hold_lock.py"), str(tmp_path / "lock"), str(tmp_path / "work")]
    running = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert log.read_text().split() == ["begin", "end"] * 3


def test_stamp_goes_with_the_files_and_the_place(tmp_path: Path) -> None:
    """A checkout that was moved or whose requirements changed is set up again."""
    names = ("requirements-dev.txt", "scripts/azurite/package.json", "scripts/azurite/package-lock.json")
    prints = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        shutil.copytree(SCRIPTS, folder / "scripts")
        for name in names:
            shutil.copy(ROOT / name, folder / name)
        prints.append(sh(". scripts/ready.sh; fingerprint", folder=folder).stdout)
        with (folder / "requirements-dev.txt").open("a") as file:
            file.write("more==1\n")
        prints.append(sh(". scripts/ready.sh; fingerprint", folder=folder).stdout)
    assert len(set(prints)) == 4
    assert "" not in prints


def test_scripts_are_plain_sh() -> None:
    for script in SCRIPTS.glob("*.sh"):
        assert sh(f"sh -n {script}").returncode == 0
