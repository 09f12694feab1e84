"""The cookies of the page: who is signed in, and the notice that goes with one redirect.

Called by the page's functions. Each has two names, one for browsers that came by https and one for those that did not.
A repeat sets the same.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from functions.web import Request, Response

if TYPE_CHECKING:
    from shared.ui.view import PageNotice

# The first name is one that no other site, not even another one of the same domain, can set; it needs https.
_SESSION = ("__Host-droptune", "droptune")
_NOTICE = ("__Host-droptune-notice", "droptune-notice")
# A notice is shown by the page that the browser asks for next (s).
_NOTICE_SECONDS = 60


def session_in(req: Request) -> str:
    """The cookie of somebody who is signed in, or nothing."""
    return _value(req, _SESSION)


def keep_session(response: Response, session: str, *, secure: bool) -> None:
    """Has the browser keep who is signed in."""
    _set(response, _SESSION[not secure], session, secure=secure)


def forget_session(response: Response) -> None:
    """Has the browser forget who is signed in."""
    _forget(response, _SESSION)


def notice_in(req: Request) -> PageNotice | None:
    """What became of what the visitor just did."""
    kept = _value(req, _NOTICE)
    try:
        from shared.ui.view import read_notice

        return read_notice(base64.urlsafe_b64decode(kept)) if kept else None
    except ValueError:
        return None


def keep_notice(response: Response, notice: PageNotice, *, secure: bool) -> None:
    """Has the browser send a notice with what it asks for next."""
    from msgspec import json

    text = base64.urlsafe_b64encode(json.encode(notice)).decode()
    _set(response, _NOTICE[not secure], text, secure=secure, seconds=_NOTICE_SECONDS)


def forget_notice(response: Response) -> None:
    """A notice is shown one time."""
    _forget(response, _NOTICE)


def is_secure(req: Request) -> bool:
    """Whether the browser came by https, as it says with every form: the own scheme of a request is that of the end of
    its way. Where it does not say, a cookie that needs https harms nobody."""
    return not req.headers.get("origin", "https:").startswith("http:")


def _value(req: Request, names: tuple[str, str]) -> str:
    return next((req.cookies[name] for name in names if req.cookies.get(name)), "")


def _forget(response: Response, names: tuple[str, str]) -> None:
    for secure in (True, False):
        _set(response, names[not secure], "", secure=secure, seconds=0)


def _set(response: Response, name: str, value: str, *, secure: bool, seconds: int | None = None) -> None:
    """Out of reach of scripts, and sent from this site's pages only."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="strict")
