"""Datasets of the Hugging Face Hub, streamed by `datasets`: no whole dataset is downloaded for a sample of it.

That the Hub cannot be reached is said within a second. Left to itself, `datasets` tries again for minutes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cli.preparing.inputs import CannotPrepare, InputPart, chosen_splits
from shared.errors import ServiceBusy

if TYPE_CHECKING:
    from shared.azure.hub import Hub, HubDataset
    from shared.chatdata.splits import Split

_PATIENCE = 1.0
"""Seconds within which a connection to the Hub (or to the proxy before it) is there, or the Hub is out of reach."""
_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")


def hub_parts(name: str, splits: Sequence[str] = (), subset: str = "", revision: str = "") -> list[InputPart]:
    """The splits of a dataset on the Hub. Raises CannotPrepare with what is to be done."""
    require_hub(name)
    from shared.azure.hub import Hub, HubDataset

    # where `hf auth login` leaves its token; the app has another place
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("HF_HOME", str(cache / "huggingface"))
    hub, dataset = Hub(), HubDataset(name, subset, revision)
    with _translated(name):
        found = hub.splits(dataset)
    return [_part(hub, dataset, split, given) for split, given in chosen_splits(name, found, splits)]


def _part(hub: Hub, dataset: HubDataset, split: Split, name: str) -> InputPart:
    def rows() -> Iterator[Any]:
        with _translated(dataset.name):
            yield from hub.rows(dataset, name, 0, 1)

    return InputPart(split, name, "the Hub", rows)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Errors of the Hub, also in the middle of the rows, as what a person can do about them."""
    from shared.azure.hub import HubRefused

    try:
        yield
    except HubRefused as refused:
        subset = "; --subset chooses one" if "several subsets" in str(refused) else ""
        missing = f"there is no file or folder {name}, and " if "is no dataset" in str(refused) else ""
        sign_in = "; `hf auth login` signs in" if missing else ""
        raise CannotPrepare(f"{missing}{refused}{subset}{sign_in}") from refused
    except ServiceBusy as busy:
        raise CannotPrepare(f"{busy}; try again") from busy


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
