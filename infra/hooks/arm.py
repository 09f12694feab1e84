"""Azure's control plane for the hooks: requests as whoever is signed in to azd (or az), and waiting.

The standard library only, so that nothing has to be installed before a deployment.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

PUBLIC = "https://management.azure.com"
EVENT_GRID, WEB, ML, RESOURCES = "2025-02-15", "2024-11-01", "2025-06-01", "2021-04-01"
_TRIES = 4


class Refused(Exception):
    """Azure's answer, in its own words. `status` is that of HTTP, 0 when nobody answered."""

    def __init__(self, what: str, status: int, text: str) -> None:
        super().__init__(f"{what}: {status or 'no answer'}: {text}")
        self.status = status


class TookTooLong(Exception):
    """What was waited for did not come about."""


class Arm:
    """Requests to the control plane at one address."""

    def __init__(self, address: str, token: str, pause: float = 10.0) -> None:
        self.address, self._token, self.pause = address.rstrip("/"), token, pause

    def get(self, path: str, version: str) -> dict[str, Any] | None:
        """A resource; None where there is none."""
        return self._found("GET", path, version)

    def list(self, path: str, version: str, more: str = "") -> Iterator[dict[str, Any]]:
        """Every resource of a list; none where there is no list."""
        page = self._found("GET", path, version, more=more)
        while page:
            yield from page.get("value", ())
            after = str(page.get("nextLink") or "")
            if after and not after.startswith(f"{self.address}/"):
                raise Refused(path, 0, "the next page is at another address, which gets no token")
            page = self._send("GET", after, None) if after else None

    def put(self, path: str, version: str, body: dict[str, Any]) -> dict[str, Any]:
        """Makes or replaces a resource; its document, which may still say that it is being made."""
        return self._send("PUT", self._url(path, version), body) or {}

    def post(self, path: str, version: str) -> dict[str, Any]:
        """Asks a resource for something."""
        return self._send("POST", self._url(path, version), {}) or {}

    def delete(self, path: str, version: str, more: str = "") -> bool:
        """Begins to remove a resource; whether there was one."""
        return self._found("DELETE", path, version, more=more) is not None

    def wait(self, what: str, there: Callable[[], Any], seconds: float) -> Any:
        """What a question answers once it is something. Raises TookTooLong, with the last refusal."""
        end, why = time.monotonic() + seconds, ""
        while True:
            try:
                if found := there():
                    return found
            except Refused as error:
                why = f" ({error})"
            if time.monotonic() > end:
                raise TookTooLong(f"{what}: not after {seconds:.0f} s{why}")
            time.sleep(self.pause)

    def _found(self, method: str, path: str, version: str, more: str = "") -> dict[str, Any] | None:
        try:
            return self._send(method, self._url(path, version, more), None) or {}
        except Refused as error:
            if error.status in (204, 404):
                return None
            raise

    def _url(self, path: str, version: str, more: str = "") -> str:
        return f"{self.address}{path}?api-version={version}{more}"

    def _send(self, method: str, url: str, body: dict[str, Any] | None) -> dict[str, Any] | None:
        """The answer's object. What is busy is asked again. Raises Refused."""
        what = f"{method} {url.removeprefix(self.address).partition('?')[0]}"
        for left in reversed(range(_TRIES)):
            try:
                return self._once(method, url, body, what)
            except Refused as error:
                if left == 0 or error.status not in (0, 408, 429, 500, 502, 503, 504):
                    raise
                time.sleep(self.pause)
        raise AssertionError("unreachable")

    def _once(self, method: str, url: str, body: dict[str, Any] | None, what: str) -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                if answer.status == 204:
                    raise Refused(what, 204, "there is nothing")
                found = json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise Refused(what, error.code, _words(error.read())) from error
        except (OSError, ValueError) as error:
            raise Refused(what, 0, f"{type(error).__name__}: {error}") from error
        return found if isinstance(found, dict) else {"value": found}


def _words(body: bytes) -> str:
    """Code and message of a refusal."""
    try:
        error = json.loads(body)["error"]
        return f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        return body[:300].decode("utf-8", "replace")


def token(address: str) -> str:
    """A token of whoever is signed in to azd, else to az. Raises Refused when nobody is."""
    azd = ["azd", "auth", "token", "--scope", f"{address.rstrip('/')}/.default", "--output", "json"]
    az = ["az", "account", "get-access-token", "--resource", address, "--output", "json"]
    why = "neither azd nor az is installed"
    for command, key in ((azd, "token"), (az, "accessToken")):
        if (program := shutil.which(command[0])) is None:
            continue
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
        try:
            return str(json.loads(done.stdout)[key])
        except (ValueError, KeyError):
            why = f"`{command[0]}` gives no token: {done.stderr.strip()[-300:]}"
    raise Refused("sign-in", 0, f"{why}; run: azd auth login")
