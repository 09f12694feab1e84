"""Datasets of the Hugging Face Hub, streamed by `datasets`: no whole dataset is downloaded for a sample of it.

That the Hub cannot be reached is said within a second. Left to itself, `datasets` tries again for minutes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from cli.preparing.inputs import CannotPrepare, InputPart, chosen_splits

_PATIENCE = 1.0
"""Seconds within which a connection to the Hub (or to the proxy before it) is there, or the Hub is out of reach."""
_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")


def hub_parts(name: str, splits: Sequence[str] = (), subset: str = "", revision: str = "") -> list[InputPart]:
    """The splits of a dataset on the Hub. Raises CannotPrepare with what is to be done."""
    require_hub(name)
    from datasets import load_dataset  # type: ignore[import-untyped]

    try:
        loaded = load_dataset(name, subset or None, revision=revision or None, streaming=True)
    except Exception as failure:
        raise CannotPrepare(_explained(name, failure)) from failure
    return [_part(split, given, loaded[given]) for split, given in chosen_splits(name, loaded, splits)]


def _part(split: Any, name: str, rows: Any) -> InputPart:
    return InputPart(split, name, "the Hub", lambda: iter(rows))


def _explained(name: str, failure: Exception) -> str:
    said = " ".join(str(failure).split())[:400]
    if "Config name is missing" in said or "BuilderConfig" in said:
        return f"{name} has several subsets: choose one with --subset. {said}"
    if type(failure).__name__ in ("DatasetNotFoundError", "RepositoryNotFoundError", "GatedRepoError"):
        return (
            f"there is no file or folder {name}, and on the Hub no dataset of that name that you may read ({said}); "
            "`hf auth login` signs in"
        )
    return f"{name} cannot be read from the Hub: {said}"


def require_hub(name: str) -> None:
    """Raises CannotPrepare at once if the Hub is out of reach, or switched off."""
    off = next(
        (setting for setting in _OFFLINE if os.environ.get(setting, "").upper() in ("1", "ON", "YES", "TRUE")), ""
    )
    if off:
        raise CannotPrepare(f"{_no_file(name)} the Hub is switched off ({off})")
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    host, port = _first_hop(endpoint)
    failure = _within(_PATIENCE, lambda: _connect(host, port))
    if failure:
        raise CannotPrepare(f"{_no_file(name)} {endpoint} cannot be reached ({failure}); HF_ENDPOINT names a mirror")


def _no_file(name: str) -> str:
    return f"there is no file or folder {name}; it may be a dataset on the Hub, but"


def _first_hop(endpoint: str) -> tuple[str, int]:
    """Where a connection to the Hub goes first: to itself, or to the proxy of the environment."""
    from urllib.request import getproxies, proxy_bypass

    address = urlsplit(endpoint)
    host = address.hostname or ""
    proxy = getproxies().get(address.scheme, "")
    if proxy and not proxy_bypass(host):
        address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host = address.hostname or ""
    return host, address.port or (443 if address.scheme == "https" else 80)


def _connect(host: str, port: int) -> None:
    import socket

    socket.create_connection((host, port), timeout=_PATIENCE).close()


def _within(seconds: float, act: Callable[[], None]) -> str:
    """Why an act failed, or that it takes too long; empty if it was done. Asking a name server has no time limit."""
    ended: list[str] = []

    def attempt() -> None:
        try:
            act()
            ended.append("")
        except OSError as error:
            ended.append(error.strerror or str(error))

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    return ended[0] if ended else f"no connection within {seconds:g} s"
