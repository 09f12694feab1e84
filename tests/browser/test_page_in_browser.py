"""The page in a real Chromium: for everybody (axe), in light and dark, wide and narrow, by keyboard, without scripts,
and with names and texts of people who mean no good."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cli import opening
from cli.target import Target
from functions import page_site
from shared.operations import imports, nightly, status
from tests.fakes import KEY, World, dialogues
from tests.page_server import served
from tests.page_world import READER_KEY, page_world

pytestmark = [pytest.mark.long, pytest.mark.services]

TOOLS = Path(__file__).parents[2] / ".tools" / "browser"
AXE = TOOLS / "node_modules" / "axe-core" / "axe.min.js"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 800}
# The ways in which every view is looked at; all rules once, and what depends on colour or width in each.
WAYS: tuple[tuple[dict[str, int], Any], ...] = ((WIDE, "light"), (WIDE, "dark"), (NARROW, "dark"), (NARROW, "light"))
VIEWS = (
    "", "/datasets", "/snapshots",  "/nights", "/nights/{night}", "/nights/run", "/upload",
    "/imports", "/imports/new", "/imports/new?source=owner%2Falpaca&dataset=alpaca", "/imports/{import}",
    "/datasets/support-bot", "/datasets/uploads-of-a-stranger", "/datasets/support-bot/ask",
    "/snapshots/{support-bot}", "/snapshots/{sql-helper}", "/snapshots/{contract-clauses}",
    "/snapshots/{uploads-of-a-stranger}", "/snapshots/{uploads-of-a-stranger}/cancel", "/datasets/nobody",
)  # fmt: skip


def apart[T](act: Callable[[], T]) -> T:
    """Does something of the app in a thread of its own: the browser's driver has a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()


@pytest.fixture(scope="module")
def world() -> World:
    return apart(page_world)


@pytest.fixture(scope="module")
def address(world: World) -> Iterator[str]:
    patch = pytest.MonkeyPatch()
    patch.setattr(page_site, "now", world.clock)
    with served(world) as found:
        yield f"{found}/api/ui"
    patch.undo()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert AXE.exists(), "run `make browser` first"
    given: dict[str, str | float | bool] = {
        **os.environ,
        "LD_LIBRARY_PATH": str(TOOLS.resolve() / "lib"),
        "FONTCONFIG_FILE": str(TOOLS / "fonts.conf"),
    }
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=TOOLS / "chromium", args=["--no-sandbox"], env=given)
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with OpenedPage(browser) as made:
        yield made


class OpenedPage:
    """A page in a context of its own that fails a test when anything of others runs or is loaded in it."""

    def __init__(self, browser: Browser, **given: Any) -> None:
        self._context = browser.new_context(**given)
        self.wrong: list[str] = []

    def __enter__(self) -> Page:
        page = self._context.new_page()
        page.set_default_timeout(20_000)
        page.on("dialog", lambda dialog: self.wrong.append(dialog.message))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", self._said)
        return page

    def _said(self, message: Any) -> None:
        if message.type == "error" and "status of 4" not in message.text:
            self.wrong.append(message.text)

    def __exit__(self, kind: Any, *_: object) -> None:
        self._context.close()
        if kind is None:
            assert self.wrong == []


def sign_in(page: Page, address: str, key: str = KEY) -> None:
    page.goto(address)
    page.get_by_label("Key").fill(key)
    page.get_by_label("Your name").fill("ada")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Waits for a person")).to_be_visible()


def serious(page: Page, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe finds that keeps people from using the page."""
    options = {"runOnly": {"type": "rule", "values": [*rules]}} if rules else {}
    found = page.evaluate("options => axe.run(document, {resultTypes: ['violations'], ...options})", options)
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical", "moderate")
        for node in one["nodes"]
    ]


def addresses(world: World) -> list[str]:
    names: dict[str, str] = {row["dataset"]: row["id"] for row in reversed(world.snapshots())}
    names["import"] = imports.newest(world.services)[0]["id"]
    names["night"] = nightly.cards(world.services)[0].night
    return [view.format_map(names) for view in VIEWS]


def test_every_view_is_for_everybody_in_every_light_and_width(page: Page, world: World, address: str) -> None:
    source, wrong = AXE.read_text(), {}
    for view in ["/sign-in", *addresses(world)]:
        if view == "":
            sign_in(page, address)
        page.goto(f"{address}{view}")
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        page.evaluate(source)
        for n, (size, scheme) in enumerate(WAYS):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            page.emulate_media(color_scheme=scheme)
            rules = () if n in (0, 2) else ("color-contrast",)
            if found := serious(page, rules):
                wrong[view, size["width"], scheme] = found
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, f"{view} is {wider} px wider than {size['width']}"
    assert wrong == {}


def test_a_file_of_the_users_own_opens_the_page_signed_in(
    page: Page, world: World, address: str, tmp_path: Path
) -> None:
    target = Target(address.removesuffix("/api/ui"), KEY, "", folder=tmp_path)
    opening.open_page(target, "/datasets/support-bot", page.goto, as_json=True, clock=world.clock)
    expect(page).to_have_url(f"{address}/datasets/support-bot")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_what_uploaders_choose_neither_runs_nor_hides_anything(page: Page, world: World, address: str) -> None:
    sign_in(page, address)
    (refused,) = [row for row in world.snapshots() if row["dataset"][:7] == "uploads" and row["state"] == "REJECTED"]
    page.goto(f"{address}/snapshots/{refused['id']}")
    expect(page.get_by_role("main")).to_contain_text("<script>alert('owned')</script>")
    expect(page.get_by_role("main")).to_contain_text("{{7*7}}")
    expect(page.get_by_role("contentinfo")).to_be_visible()
    assert page.locator("main img, main script, main iframe").count() == 0


def test_it_is_used_by_keyboard_alone(page: Page, address: str) -> None:
    page.goto(address)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.get_by_label("Key").focus()
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Waits for a person")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("contract-clauses-")
    page.get_by_role("button", name="Try again").focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_an_open_page_keeps_itself_fresh_and_leaves_what_is_typed(page: Page, world: World, address: str) -> None:
    page.clock.install()
    sign_in(page, address)
    page.goto(f"{address}/datasets/support-bot")
    page.get_by_label("Question").fill("half a quest")
    calls = page.get_by_role("region", name="Releases", exact=True)
    expect(calls).to_contain_text("21 min ago")
    world.clock.now += 600
    page.get_by_label("Question").focus()
    page.clock.fast_forward(5_000)
    expect(calls).to_contain_text("31 min ago")
    assert page.get_by_label("Question").input_value() == "half a quest"
    world.clock.now -= 600


def test_a_dropped_file_is_uploaded_and_seen_being_checked(
    page: Page, world: World, address: str, tmp_path: Path
) -> None:
    page.clock.install()
    sign_in(page, address)
    page.get_by_role("link", name="Upload", exact=True).click()
    rows = tmp_path / "Fresh Rows.jsonl"
    rows.write_bytes(dialogues(40, "fresh"))
    page.get_by_label("One file with a dialogue a row").set_input_files(rows)
    expect(page.get_by_label("Dataset")).to_have_value("fresh-rows")
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("fresh-rows-")
    expect(page.locator(".lead .chip").first).to_have_text("Received")
    apart(world.run)
    page.clock.fast_forward(6_000)
    expect(page.locator(".lead .chip").first).to_have_text("Live")
    page.get_by_role("link", name="Upload", exact=True).click()
    page.get_by_label("Dataset").fill("fresh-rows")
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    page.get_by_label("One file with a dialogue a row").set_input_files(empty)
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_role("alert")).to_contain_text("empty")


def test_without_javascript_one_signs_in_acts_tries_and_uploads(
    browser: Browser, world: World, address: str, tmp_path: Path
) -> None:
    with OpenedPage(browser, java_script_enabled=False) as page:
        sign_in(page, address)
        page.goto(f"{address}/datasets/travel-notes")
        page.get_by_role("link", name="Put to sleep").click()
        page.get_by_role("button", name="Put to sleep").click()
        expect(page.get_by_role("status").first).to_contain_text("will sleep")
        assert status.dataset(world.services, "travel-notes")["requested"]["by"] == "ada"
        page.get_by_label("Question").fill("What is abc?")
        page.get_by_role("button", name="Ask").click()
        expect(page.locator(".answered")).to_have_text("It is cba.")
        page.get_by_role("link", name="Upload", exact=True).click()
        rows = tmp_path / "plain.jsonl"
        rows.write_bytes(dialogues(20, "plain"))
        page.get_by_label("Dataset").fill("plain-form")
        page.get_by_label("One file with a dialogue a row").set_input_files(rows)
        page.get_by_role("button", name="Upload and check").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("plain-form-")


def test_an_import_is_filled_in_changed_confirmed_and_seen(page: Page, world: World, address: str) -> None:
    page.clock.install()
    sign_in(page, address)
    page.get_by_role("link", name="Upload", exact=True).click()
    page.get_by_role("link", name="Import from the Hugging Face Hub").click()
    page.get_by_role("link", name="Import a dataset").click()
    page.get_by_label("Dataset of the Hub").fill("others/alpaca")
    page.get_by_label("Dataset here").fill("alpaca-two")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_contain_text("IMPORT_SOURCES")
    page.get_by_label("Dataset of the Hub").fill("owner/alpaca")
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("link", name="Change it").click()
    page.get_by_text("How much of it").click()
    page.get_by_label("Rows", exact=False).last.fill("20")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("main")).to_contain_text("Rows of each split at most")
    assert len(imports.newest(world.services)) == 1
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("owner/alpaca into alpaca-two: will be imported")
    apart(world.run)
    page.clock.fast_forward(6_000)
    expect(page.locator(".lead .chip").first).to_have_text("Imported")
    page.locator("a.id").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("alpaca-two-")


def test_the_night_is_looked_at_before_it_is_made(page: Page, world: World, address: str) -> None:
    sign_in(page, address)
    page.get_by_role("link", name="Nights").click()
    nights = len(nightly.cards(world.services))
    page.get_by_role("link", name="Run the night now").click()
    expect(page.get_by_role("main")).to_contain_text("Would be asked to sleep")
    page.get_by_role("button", name="Run the night").click()
    expect(page.get_by_role("status").first).to_contain_text("the nightly round begins")
    apart(world.run)
    page.reload()
    assert len(nightly.cards(world.services)) == nights + 1
    assert page.locator("tbody tr").count() == nights + 1


def test_a_reader_finds_nothing_to_act_with(page: Page, address: str) -> None:
    sign_in(page, address, READER_KEY)
    page.goto(f"{address}/datasets/support-bot")
    expect(page.get_by_role("banner")).to_contain_text("(reader)")
    assert page.locator("main form, main .button").count() == 0
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
