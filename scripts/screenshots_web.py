"""Pictures of the browser application for the documentation, from a real browser.

    python -m scripts.screenshots_web [--size 64]

Phantoms are made and really registered by ``elastic-hyperreg serve --demo``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from Testing.web.conftest import Tab, chromium, serving

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
DESKTOP, WIDE, TABLET = (1280, 800), (1920, 1080), (820, 1180)
REST_MS = 6000


def shoot(tab: Tab, name: str, size: tuple[int, int]) -> None:
    """One picture of the page at a size, once it has come to rest."""
    tab.page.set_viewport_size({"width": size[0], "height": size[1]})
    for icon in tab.page.locator(".view-gutter .mdi-camera-flip-outline").all():
        icon.click()
    tab.page.mouse.move(5, 5)
    tab.page.wait_for_function("!document.querySelector('.doing .v-progress-linear')")
    tab.page.wait_for_timeout(REST_MS)
    tab.page.screenshot(path=IMAGES / f"web-{name}.png")


def take_all(tab: Tab) -> None:
    """Every picture, one after the other on the same page."""
    tab.settled()
    tab.press("2")
    number = tab.number()
    tab.drag("lung", "mu", 0.35)
    tab.settled(number)
    shoot(tab, "warped", DESKTOP)
    tab.press("j")
    tab.press("g")
    shoot(tab, "deformation", WIDE)
    tab.press("g")
    tab.press("g")
    tab.press("t")
    tab.page.click('[data-tab="quality"]')
    shoot(tab, "light", DESKTOP)
    tab.press("t")
    tab.press("j")
    tab.press("g")
    tab.page.click('[data-tab="estimate"]')
    tab.page.click('[data-action="estimate"]')
    tab.page.locator(".estimate .figures tbody tr").first.wait_for()
    tab.page.locator(".heat").evaluate("heat => heat.scrollIntoView({ block: 'center' })")
    shoot(tab, "estimate", DESKTOP)
    tab.page.click('[data-tab="display"]')
    shoot(tab, "tablet", TABLET)


def take_heart(tab: Tab) -> None:
    """The stack of slices with its volume change."""
    tab.settled()
    tab.press("2")
    tab.press("j")
    shoot(tab, "cardiac", DESKTOP)


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="voxels of the thorax along an axis")
    size = parser.parse_args().size
    IMAGES.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        with serving("--demo", "--size", str(size)) as served:
            take_all(Tab(browser, served.url))
        with serving("--demo", "cardiac") as served:
            take_heart(Tab(browser, served.url))


if __name__ == "__main__":
    main()
