"""Datasets of the Hugging Face Hub, streamed by `datasets`: no whole dataset is downloaded for a sample of it.

That the Hub cannot be reached is said within a second. Left to itself, `datasets` tries again for minutes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.failures import Exit
from cli.preparing.inputs import CannotPrepare, InputPart, chosen_splits
from shared.errors import ServiceBusy

if TYPE_CHECKING:
    from shared.azure.hub import Hub, HubDataset
    from shared.chatdata.splits import Split

PATIENCE = 1.0
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
        status = Exit.NOT_FOUND if missing else Exit.USAGE
        raise CannotPrepare(f"{missing}{refused}{subset}{sign_in}", status) from refused
    except ServiceBusy as busy:
        raise CannotPrepare(f"{busy}; try again", Exit.UNREACHABLE) from busy


def require_hub(name: str) -> None:
    """Raises CannotPrepare at once if the Hub is out of reach, or switched off."""
    off = next(
        (setting for setting in _OFFLINE if os.environ.get(setting, "").upper() in ("1", "ON", "YES", "TRUE")), ""
    )
    if off:
        raise CannotPrepare(f"{_no_file(name)} the Hub is switched off ({off})")
    from shared.azure.hub import Hub, endpoint

    if why := Hub().unreachable(PATIENCE):
        text = f"{_no_file(name)} {endpoint()} cannot be reached ({why}); HF_ENDPOINT names a mirror"
        raise CannotPrepare(text, Exit.UNREACHABLE)


def _no_file(name: str) -> str:
    return f"there is no file or folder {name}; it may be a dataset on the Hub, but"
