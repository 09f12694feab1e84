"""Takes the pictures of the page that stand in the README and in docs/page.md: `python -m scripts.page_images`.

Run by a person after the page has changed, once `make browser` has installed the browser. The world that is shown
is the one that the tests look at; a repeat takes the same pictures.
"""

from __future__ import annotations

import os
from pathlib import Path

from functions import page_site
from tests.fakes import KEY
from tests.page_server import served
from tests.page_world import page_world

ROOT = Path(__file__).parent.parent
TOOLS, TARGET = ROOT / ".tools" / "browser", ROOT / "docs" / "images"
# A picture's name, the view, width, height and light.
PICTURES = (
    ("overview", "", 1280, 980, "light"),
    ("dataset", "/datasets/support-bot", 1280, 900, "dark"),
    ("refused", "/snapshots/{sql-helper}", 1280, 980, "light"),
    ("phone", "", 390, 844, "dark"),
)


def main() -> None:
    """Takes all of them."""
    world = page_world()
    names = {row["dataset"]: row["id"] for row in reversed(world.snapshots())}
    setattr(page_site, "now", world.clock)  # noqa: B010 - the page tells the time of the world
    given: dict[str, str | float | bool] = {
        **os.environ,
        "LD_LIBRARY_PATH": str(TOOLS.resolve() / "lib"),
        "FONTCONFIG_FILE": str(TOOLS / "fonts.conf"),
    }
    TARGET.mkdir(exist_ok=True)
    # Last, since its loop keeps the app's own from running in this thread.
    from playwright.sync_api import sync_playwright

    with served(world) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=TOOLS / "chromium", args=["--no-sandbox"], env=given)
        for name, view, width, height, light in PICTURES:
            size = {"width": width, "height": height}
            context = browser.new_context(viewport=size, color_scheme=light)  # type: ignore[arg-type]
            page = context.new_page()
            page.goto(f"{address}/api/ui")
            page.get_by_label("Key").fill(KEY)
            page.get_by_label("Your name").fill("ada")
            page.get_by_role("button", name="Sign in").click()
            page.goto(f"{address}/api/ui{view.format_map(names)}")
            page.screenshot(path=TARGET / f"{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
