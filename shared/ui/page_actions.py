"""What may be asked for on the page: under which words, and which are asked about once more before they are done.

Called by the functions that take the page's forms. Each is the same function as the route of its name calls; what the
row says decides, so doing one twice is doing it once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shared.errors import NotFound
from shared.operations import actions
from shared.operations.actions import ActionAnswer

if TYPE_CHECKING:
    from shared.runtime import Services

# With the name of what it is about, who asks, and the form that was sent.
type Act = Callable[[Services, str, str, Mapping[str, str]], ActionAnswer]


@dataclass(frozen=True, slots=True)
class PageAction:
    """One thing that people may ask for. `question`: what they are asked first, where it cannot be taken back; empty:
    nothing. `typed`: they have to type the name of what it is about."""

    name: str
    label: str
    act: Act
    question: str = ""
    typed: bool = False
    style: Literal["", "primary", "danger"] = ""


def _asks(what: str) -> Act:
    return lambda services, name, by, form: actions.ask(services, name, what, by)


def _plainly(act: Callable[[Services, str, str], ActionAnswer]) -> Act:
    return lambda services, name, by, form: act(services, name, by)


def _delete(services: Services, name: str, by: str, form: Mapping[str, str]) -> ActionAnswer:
    return actions.delete(services, name, by, form.get("files") == "yes")


_OF_DATASETS = (
    PageAction("resume", "Go on", _plainly(actions.resume), style="primary"),
    PageAction(
        "rollback",
        "Go back",
        _asks("roll_back"),
        "What is being released is taken back, or the release before gets all the traffic again.",
        style="danger",
    ),
    PageAction(
        "sleep",
        "Put to sleep",
        _asks("sleep"),
        "Its endpoint is removed and costs nothing more. Its model is kept; waking takes minutes.",
    ),
    PageAction("wake", "Wake", _asks("wake"), style="primary"),
    PageAction("unpause", "Go on after the pause", _plainly(actions.unpause), style="primary"),
    PageAction(
        "pause",
        "Pause",
        _plainly(actions.pause),
        "It begins nothing more that costs money: new snapshots are checked and wait. What serves goes on.",
    ),
    PageAction("delete", "Delete", _delete, "This cannot be taken back.", typed=True, style="danger"),
)
_OF_SNAPSHOTS = (
    PageAction("retry", "Try again", _plainly(actions.retry), style="primary"),
    PageAction(
        "override",
        "Take it all the same",
        _plainly(actions.override),
        "It is excused from every check that blocks it now. That is on record under your name.",
        style="danger",
    ),
    PageAction(
        "cancel",
        "Cancel",
        _plainly(actions.cancel),
        "Its training job is canceled, or its release taken back. What the job has cost is spent.",
        style="danger",
    ),
)
ACTIONS: Mapping[str, Mapping[str, PageAction]] = {
    "datasets": {one.name: one for one in _OF_DATASETS},
    "snapshots": {one.name: one for one in _OF_SNAPSHOTS},
}


def action_of(kind: str, name: str) -> PageAction:
    """The action of this name for datasets or snapshots. Raises NotFound."""
    found = ACTIONS[kind].get(name)
    if found is None:
        raise NotFound("there is no such action")
    return found


def offered(kind: str, names: list[str]) -> list[PageAction]:
    """The actions of these names, in the order of the table."""
    return [one for name, one in ACTIONS[kind].items() if name in names]
