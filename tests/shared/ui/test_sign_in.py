"""Who may open the page, and who may act on it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ui.sign_in import (
    ACCOUNT_HEADER,
    SESSION_SECONDS,
    TICKET_SECONDS,
    PageAccess,
    Visitor,
    is_own_form,
    ticket_for,
)
from tests.fakes import Clock

KEY, OTHER, READER = "a-key-to-steer-with", "another-key-to-steer", "a-key-to-look-with"


def access(clock: Clock | None = None, **changes: Any) -> PageAccess:
    given: dict[str, Any] = {"keys": (KEY, OTHER), "reader_keys": (READER,), "accounts": "", **changes}
    return PageAccess(**given, clock=clock or Clock())


def session(key: str, name: str = "ada") -> str:
    found = access().sign_in(key, name)
    assert found is not None
    return found


@pytest.mark.parametrize(("key", "may_act"), [(KEY, True), (OTHER, True), (READER, False), (f" {KEY}\n", True)])
def test_a_key_opens_the_page_and_a_readers_key_only_looks(key: str, may_act: bool) -> None:
    visitor = access().visitor(session(key), {})
    assert visitor is not None
    assert (visitor.name, visitor.may_act, visitor.by_key) == ("ada", may_act, True)


@pytest.mark.parametrize("key", ["", "a-key-to-steer-wit", KEY.upper(), f"{KEY}x", "\ud800", "ключ"])
def test_no_other_key_opens_it(key: str) -> None:
    assert access().sign_in(key, "") is None


def test_a_session_ends_by_itself_and_with_its_key_and_holds_no_key() -> None:
    clock = Clock()
    found = session(KEY)
    assert KEY not in found
    assert access(keys=(OTHER,)).visitor(found, {}) is None
    clock.now += SESSION_SECONDS + 1
    assert access(clock).visitor(found, {}) is None


@pytest.mark.parametrize(("key", "may_act"), [(KEY, True), (READER, False)])
def test_a_ticket_is_good_for_a_session_of_its_key_within_a_minute(key: str, may_act: bool) -> None:
    clock = Clock()
    ticket = ticket_for(key, "ada", clock.now)
    assert key not in ticket
    clock.now += TICKET_SECONDS - 1
    found = access(clock).enter(ticket)
    assert found is not None
    visitor = access(clock).visitor(found, {})
    assert visitor is not None
    assert (visitor.name, visitor.may_act) == ("ada", may_act)
    clock.now += 2
    assert access(clock).enter(ticket) is None


def test_a_ticket_and_a_session_are_not_taken_for_each_other() -> None:
    clock = Clock()
    assert access(clock).visitor(ticket_for(KEY, "ada", clock.now), {}) is None
    assert access(clock).enter(session(KEY)) is None
    assert access(clock).enter(ticket_for("another-key-altogether", "ada", clock.now)) is None
    assert access(clock).enter(ticket_for(KEY, "ada", clock.now + 86_400)) is None, "nobody makes one for later"
    text, _, signature = ticket_for(READER, "ada", clock.now).rpartition(".")
    assert access(clock).enter(f"{text[:-2]}AA.{signature}") is None


def test_a_session_cannot_be_changed() -> None:
    """Whoever looks cannot make a session that acts of theirs, whatever part they change."""
    reader, steerer = session(READER), session(KEY)
    text, _, signature = reader.rpartition(".")
    for cookie in (
        f"{text}.{steerer.rpartition('.')[2]}",
        f"{steerer.rpartition('.')[0]}.{signature}",
        f"{text[:-2]}AA.{signature}",
        f".{signature}",
        text,
        f"{text}.ü",
        "\ud800.\ud800",
        "x" * 100_000,
    ):
        assert access().visitor(cookie, {}) is None, cookie[:40]


def test_an_account_is_believed_only_where_the_settings_say_so() -> None:
    signed_in = {ACCOUNT_HEADER: "Ada@example.org"}
    assert access().visitor("", signed_in) is None
    for accounts, may_act in (("*", True), ("bob@example.org, ada@example.org", True), ("bob@example.org", False)):
        visitor = access(accounts=accounts).visitor("", signed_in)
        assert visitor is not None
        assert (visitor.name, visitor.may_act, visitor.by_key) == ("Ada@example.org", may_act, False)
        assert visitor.new_cookie
    assert access(accounts="*").visitor("", {}) is None


def test_an_account_keeps_its_cookie_and_with_it_the_token_of_its_forms() -> None:
    signed_in = {ACCOUNT_HEADER: "ada"}
    first = access(accounts="*").visitor("", signed_in)
    assert first is not None
    again = access(accounts="*").visitor(first.new_cookie, signed_in)
    assert again is not None
    assert (again.new_cookie, again.form_token) == ("", first.form_token)


def _visitor(cookie: str = "") -> Visitor:
    found = access().visitor(cookie or session(KEY), {})
    assert found is not None
    return found


def test_a_form_counts_if_the_page_was_made_for_the_visitor_and_the_browser_says_it_is_from_here() -> None:
    visitor = _visitor()
    assert is_own_form(visitor, visitor.form_token, {})
    assert is_own_form(visitor, visitor.form_token, {"sec-fetch-site": "same-origin"})
    for site in ("cross-site", "same-site", "none"):
        assert not is_own_form(visitor, visitor.form_token, {"sec-fetch-site": site})
    for token in ("", "ü", "0" * 64, _visitor().form_token):
        assert not is_own_form(visitor, token, {})


def test_a_name_is_cut_and_shown_as_it_is_read() -> None:
    visitor = _visitor(session(KEY, "\u202ea\nb" + "x" * 500))
    assert visitor.name == "ab" + "x" * 38
    assert _visitor(session(KEY, " \n")).name == "somebody on the page"
