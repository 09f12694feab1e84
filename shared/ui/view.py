"""One view of the page: its template, its title and its values. Made by the views, rendered for a visitor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from shared.ledger.record import Struct
from shared.ui.rendering import render

if TYPE_CHECKING:
    from shared.ui.sign_in import Visitor

# While something is under way, and otherwise, an open page looks for news so often (s).
SOON, LATER = 4, 30


@dataclass(frozen=True, slots=True)
class View:
    """What is shown. `here`: which part of the page is marked as the one that is open; `refresh`: seconds, 0: never;
    `status`: the HTTP status of the page."""

    template: str
    title: str
    values: dict[str, Any] = field(default_factory=dict)
    here: str = ""
    refresh: int = LATER
    status: int = 200


class PageNotice(Struct, frozen=True, kw_only=True):
    """What became of what a visitor just did; `bad` if nothing came of it."""

    text: str
    bad: bool = False


_NOTICE = msgspec.json.Decoder(PageNotice)


def read_notice(text: bytes) -> PageNotice:
    """A notice that a browser kept. Raises ValueError."""
    return _NOTICE.decode(text)


def html(view: View, visitor: Visitor | None, now: float, version: str, notice: PageNotice | None = None) -> str:
    """The whole page. `version`: what the addresses of stylesheet and script carry, so that new ones are fetched."""
    common = {"title": view.title, "here": view.here, "refresh": view.refresh, "visitor": visitor, "now": now}
    return render(view.template, **common, assets=version, notice=notice, **view.values)
