"""Who is looking at the page, and whether they may act. Called before any view is made and before any form is heeded.

People are signed in by App Service authentication, where that is on and `PAGE_ACCOUNTS` says to believe it; else by a
key that they type once. For the key they get a session: a text of its own, signed with the key, so that the
browser keeps no key, a session ends by itself, and ends at once when its key is taken out of the settings. Whoever has
the key in a terminal (`droptune open`) signs a ticket with it, which is good for a session within a minute, so that the
key itself goes nowhere. Nothing is stored here; the same cookie gives the same visitor in every process.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SESSION_SECONDS = 12 * 3600
TICKET_SECONDS = 60.0
# By so much (s) the clock of whoever makes a ticket may be ahead.
_CLOCKS_DIFFER = 300.0
LONGEST_NAME = 40
ACCOUNT_HEADER = "x-ms-client-principal-name"
_ANYBODY = "*"
# Too short for a session; a real one has a few hundred characters.
_LONGEST_COOKIE = 1000


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in: by which name, and whether they may act or only look.

    `form_token` goes into every form: only a page that was made for this cookie has it. `by_key`: they can sign out
    here; accounts sign out where they signed in. `new_cookie` is to be set, where there was none to go by.
    """

    name: str
    may_act: bool
    form_token: str
    by_key: bool = True
    new_cookie: str = ""


class PageAccess:
    """Who may open the page: those with one of these keys, and the accounts that the platform signed in.

    `accounts`: names with commas between, `*` for all; empty: what the platform says of its visitors is not believed.
    """

    def __init__(
        self, keys: tuple[str, ...], reader_keys: tuple[str, ...], accounts: str, clock: Callable[[], float]
    ) -> None:
        self._keys = [(_digest(key), True) for key in keys] + [(_digest(key), False) for key in reader_keys]
        self._accounts = {name.strip().lower() for name in accounts.split(",") if name.strip()}
        self._clock = clock

    @property
    def has_keys(self) -> bool:
        """Whether anybody can sign in with a key."""
        return bool(self._keys)

    def sign_in(self, key: str, name: str) -> str | None:
        """The session for a key, to be kept as a cookie; None for a key that opens nothing. `name`: for the record."""
        offered = _digest(key.strip())
        # Every pair is compared, so that the time tells nothing of which key was close.
        fits = [hmac.compare_digest(offered, known) for known, _ in self._keys]
        if not any(fits):
            return None
        return _signed(offered, "session", name, self._clock() + SESSION_SECONDS)

    def enter(self, ticket: str) -> str | None:
        """The session for a ticket; None for one that no key here has signed, or whose minute is over."""
        found = self._said(ticket, "ticket")
        now = self._clock()
        if found is None or not now < found[1]["until"] < now + TICKET_SECONDS + _CLOCKS_DIFFER:
            return None
        return _signed(found[0], "session", found[1]["name"], now + SESSION_SECONDS)

    def visitor(self, cookie: str, headers: Mapping[str, str]) -> Visitor | None:
        """Whoever sends this cookie and these headers; None for somebody who is not signed in."""
        return self._by_session(cookie) or self._by_account(cookie, headers)

    def _by_session(self, cookie: str) -> Visitor | None:
        found = self._said(cookie, "session")
        if found is None or found[1]["until"] < self._clock():
            return None
        may_act = any(may for known, may in self._keys if known == found[0])
        return Visitor(found[1]["name"] or "somebody on the page", may_act, form_token(cookie))

    def _said(self, given: str, kind: str) -> tuple[bytes, dict[str, Any]] | None:
        """What a text of this kind says, and the digest of the key that signed it; None where no key here did."""
        text, _, signature = given[:_LONGEST_COOKIE].rpartition(".")
        signed = [(known, _signature(known, kind, text)) for known, _ in self._keys]
        fits = [known for known, right in signed if hmac.compare_digest(_bytes(right), _bytes(signature))]
        if not text or not fits:
            return None
        try:
            return fits[0], json.loads(base64.urlsafe_b64decode(text + "=="))
        except (ValueError, binascii.Error):
            return None

    def _by_account(self, cookie: str, headers: Mapping[str, str]) -> Visitor | None:
        name = headers.get(ACCOUNT_HEADER, "")
        if not name or not self._accounts:
            return None
        shown = "".join(c for c in name if c.isprintable())[:80]
        may_act = bool(self._accounts & {_ANYBODY, name.lower()})
        made = "" if _is_plain(cookie) else secrets.token_hex(16)
        return Visitor(shown, may_act, form_token(made or cookie), by_key=False, new_cookie=made)


def ticket_for(key: str, name: str, now: float) -> str:
    """What is good for a session within a minute, for whoever has the key. `name`: for the record."""
    return _signed(_digest(key.strip()), "ticket", name, now + TICKET_SECONDS)


def form_token(cookie: str) -> str:
    """What the forms of a page carry that was made for this cookie. Another site can read neither."""
    return hashlib.sha256(f"form {cookie}".encode("utf-8", "surrogatepass")).hexdigest()


def is_own_form(visitor: Visitor, token: str, headers: Mapping[str, str]) -> bool:
    """Whether a form was sent by a page of this app that was made for this visitor, and not by another site's.

    The browser says where a request comes from, and the form has the token of its cookie. Host and Origin are not
    compared: on its way to the app a request is given another Host.
    """
    if headers.get("sec-fetch-site", "same-origin") != "same-origin" or visitor.new_cookie:
        return False
    return hmac.compare_digest(_bytes(token), _bytes(visitor.form_token))


def _is_plain(cookie: str) -> bool:
    return len(cookie) == 32 and all(c in "0123456789abcdef" for c in cookie)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _digest(key: str) -> bytes:
    return hashlib.sha256(_bytes(key)).digest()


def _signed(key_digest: bytes, kind: str, name: str, until: float) -> str:
    """A text that says who it is for and until when (UTC seconds), signed with a key as one of this kind."""
    shown = "".join(c for c in name if c.isprintable()).strip()[:LONGEST_NAME]
    said = {"until": until, "name": shown, "once": secrets.token_hex(8)}
    text = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    return f"{text}.{_signature(key_digest, kind, text)}"


def _signature(key_digest: bytes, kind: str, text: str) -> str:
    return hmac.new(key_digest, _bytes(f"page {kind} {text}"), hashlib.sha256).hexdigest()
