"""Has azure-cli's own parser read every `az` command of the pages, before any sign-in: `make az-lines`.

Runs in an environment of its own that has azure-cli, which is 700 MB: on demand. A command that the parser refuses ends
with 2; one that it takes goes on to "run az login", which is as far as this goes. `az ml` is an extension that is not
to be had here: its lines are listed as not looked at. Exit status 1 when a command is refused.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "deploy.md", ROOT / "docs" / "security.md", ROOT / "docs" / "operate.md")
# What stands for an id in the pages.
_VARIABLE = re.compile(r"\$\{?([A-Z_]+)\}?|<[^<>|]+>")


def commands(text: str) -> Iterator[str]:
    """Every command of a page's bash blocks that begins with `az `, on one line, with words in place of variables."""
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            inner = re.findall(r"\$\((az [^()]*)\)", line)
            whole = re.sub(r"\$\([^()]*\)", "x", line).strip()
            for command in (*inner, *([whole] if whole.startswith("az ") else ())):
                yield _VARIABLE.sub("x", re.split(r" (?:>|\||#) ?", command)[0].strip())


def refused(command: str) -> str:
    """What the parser has to say against a command; nothing when it takes it."""
    cli = importlib.import_module("azure.cli.core").get_default_cli()
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        try:
            code = cli.invoke(shlex.split(command)[1:])
        except SystemExit as error:
            code = error.code
        except Exception as error:  # noqa: BLE001 - it went on, to a sign-in that there is not
            return "" if "login" in str(error) else f"{type(error).__name__}: {error}"
    return said.getvalue().strip() if code == 2 else ""


def main() -> int:
    """Read the pages, or the commands given."""
    os.environ["AZURE_CONFIG_DIR"] = tempfile.mkdtemp()
    os.environ["AZURE_CORE_COLLECT_TELEMETRY"] = "false"
    found = sys.argv[1:] or [line for page in PAGES if page.exists() for line in commands(page.read_text("utf-8"))]
    wrong = 0
    for command in dict.fromkeys(found):
        if command.startswith("az ml "):
            print(f"  not looked at  {command[:100]}")
            continue
        why = refused(command)
        wrong += bool(why)
        print(f"{'  REFUSED' if why else '  taken'}  {command[:100]}{f': {why[-300:]}' if why else ''}")
    print(f"{len(dict.fromkeys(found))} commands, {wrong} refused")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
