"""Access keys of the host, in one file; created on first start, kept afterwards.

`__main__` loads them, `http`, `webhooks` and `admin` check them. The master key opens everything, as in
Azure.
"""

import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from local.host.errors import CannotStart

Level = Literal["anonymous", "function", "eventgrid", "admin"]


@dataclass(frozen=True)
class HostKeys:
    """The keys as they are in keys.json."""

    function: str
    master: str
    eventgrid: str

    def allow(self, level: Level, offered: str | None) -> bool:
        """Whether `offered` opens a door of this level; takes the same time for any wrong key."""
        if level == "anonymous":
            return True
        own = {"function": self.function, "eventgrid": self.eventgrid, "admin": self.master}[level]
        given = (offered or "").encode()
        results = [hmac.compare_digest(given, key.encode()) for key in (own, self.master)]
        return any(results)


def offered(query: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
    """The key a request carries: header `x-functions-key` first, then `?code=`."""
    return headers.get("x-functions-key") or query.get("code")


def load(folder: Path) -> HostKeys:
    """The keys in `folder`/keys.json, readable by the owner only; missing ones are made and written first."""
    path = folder / "keys.json"
    try:
        stored = json.loads(path.read_text()) if path.exists() else {}
        system = dict(stored.get("system", {}))
    except (ValueError, AttributeError, TypeError) as wrong:
        raise CannotStart(f"{path} is damaged ({wrong}); delete it to get new keys") from wrong
    keys = HostKeys(
        function=stored.get("function") or secrets.token_urlsafe(32),
        master=stored.get("master") or secrets.token_urlsafe(32),
        eventgrid=system.get("eventgrid_extension") or secrets.token_urlsafe(32),
    )
    system["eventgrid_extension"] = keys.eventgrid
    complete = {**stored, "function": keys.function, "master": keys.master, "system": system}
    if complete != stored:
        _write(path, json.dumps(complete, indent=2))
    return keys


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)  # mode 0600
    with os.fdopen(handle, "w") as file:
        file.write(content)
    Path(temporary).replace(path)
