"""How the page puts values into words: times, sizes, money, states. Filters of its templates; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shared import naming
from shared.ledger.cards import LONGEST
from shared.operations.status import DAMAGED
from shared.operations.times import about_hours, about_money, hours_in_words, size_in_words

# What a state means for whoever looks: it is as wanted, it is under way, it rests, or it did not work out.
GOOD = frozenset({"LIVE", "REGISTERED", "IMPORTED"})
REST = frozenset(
    {"ASLEEP", "RETIRED", "EMPTY", "SUPERSEDED", "DUPLICATE", "CLEANED", "CLEANING", "CANCELED", "CANCELLED"}
)
BAD = frozenset(
    {
        "REJECTED", "TRAINING_FAILED", "REGISTER_FAILED", "WITHHELD", "DEPLOY_FAILED", "ROLLED_BACK", "IMPORT_FAILED",
        DAMAGED,
    }
)  # fmt: skip
_STEPS = (("d", 86_400.0), ("h", 3600.0), ("min", 60.0))
_LONGEST_TEXT = 2000


def tone(state: str) -> str:
    """How a state is shown: `good`, `bad`, `rest` or `busy`."""
    return "good" if state in GOOD else "bad" if state in BAD else "rest" if state in REST else "busy"


def words(state: str) -> str:
    """A state as text: `Training failed`."""
    return state.replace("_", " ").capitalize()


def clock(moment: str | None) -> str:
    """A moment of a status answer, to the second, UTC; a dash where there is none."""
    return moment[:19].replace("T", " ") if moment else "–"


def ago(moment: str | None, now: float) -> str:
    """How far a moment is from now, in the largest unit that fits; within a second it is now."""
    if not moment:
        return "–"
    seconds = now - datetime.fromisoformat(moment).timestamp()
    if abs(seconds) < 1:
        return "now"
    text = span(abs(seconds))
    return f"{text} ago" if seconds >= 0 else f"in {text}"


def span(seconds: float) -> str:
    """A length of time in the largest unit that fits."""
    for unit, size in _STEPS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def later(before: str, after: str) -> str:
    """How much later one moment was than another, behind a comma; nothing for less than a second."""
    seconds_ = (datetime.fromisoformat(after) - datetime.fromisoformat(before)).total_seconds()
    return f", {span(seconds_)} later" if seconds_ >= 1 else ""


def count(number: float | None) -> str:
    """A number with thin spaces between thousands; a dash where it is not known."""
    return "–" if number is None else f"{number:,.0f}".replace(",", "\u202f")


def money(amount: float | None, currency: str) -> str:
    """An amount with its currency; a dash where it is not known."""
    return "–" if amount is None else f"{amount:,.2f} {currency}".replace(",", "\u202f").strip()


def hours(amount: float) -> str:
    """A length of time in hours; a dash for none."""
    return hours_in_words(amount) if amount else "–"


def about_cost(amount: float, currency: str) -> str:
    """An amount that is an estimate."""
    return about_money(amount, currency).replace(",", "\u202f")


def spent(amount: float, currency: str, taken: float) -> str:
    """What was spent on so many hours (`taken`) that have a price: what costs no cent costs something all the same."""
    return about_cost(0, currency) if taken and not amount else money(amount, currency)


def seconds(amount: float | None) -> str:
    """A latency: milliseconds below a second; a dash where it is not known."""
    if amount is None:
        return "–"
    return f"{amount * 1000:.0f} ms" if amount < 1 else f"{amount:.1f} s"


def number(value: float) -> str:
    """A measured value in four digits."""
    return f"{value:.4g}"


def percent(share: float) -> str:
    """A share of 1 in percent."""
    return f"{share * 100:.1f} %" if 0 < share < 0.1 else f"{share * 100:.0f} %"


def briefly(text: str | None, most: int = _LONGEST_TEXT) -> str:
    """A text of others, cut where nobody would read on."""
    found = text or ""
    return found if len(found) <= most else f"{found[: most - 1]}…"


def cut(text: str | None) -> str:
    """A text as a list has it: one that was cut there says so, also where an older version wrote it."""
    found = text or ""
    return f"{found.rstrip()}…" if len(found) == LONGEST and not found.endswith("…") else found


def moment(seconds_: float) -> str:
    """A time in seconds since 1970 as a clock shows it, UTC."""
    return f"{datetime.fromtimestamp(seconds_, UTC):%Y-%m-%d %H:%M:%S}"


def dataset_part(snapshot: str) -> str:
    """The part of a snapshot's id that names its dataset, with the dash behind it."""
    return snapshot[: len(snapshot) - len(tail_part(snapshot))]


def tail_part(snapshot: str) -> str:
    """The part of a snapshot's id that tells it from others of its dataset."""
    return "-".join(naming.upload_order(snapshot))


def machine(size_: str) -> str:
    """A machine's size without what all sizes begin with."""
    return size_.removeprefix("Standard_")


FILTERS: dict[str, Any] = {
    one.__name__: one
    for one in (
        tone,
        cut,
        words,
        clock,
        ago,
        span,
        later,
        count,
        money,
        hours,
        spent,
        about_hours,
        about_cost,
        seconds,
        number,
        percent,
        briefly,
        moment,
        dataset_part,
        tail_part,
        machine,
    )
} | {"size": size_in_words}
