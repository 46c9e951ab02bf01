"""How fast the browser application answers, seen from a real browser.

python -m benchmarks.page --moves 60 --minutes 1 --out bench-result -- --demo cardiac

What stands behind ``--`` goes to ``elastic-hyperreg serve``. A picture counts when the browser has
drawn it: a move of a slider, made by the mouse, is answered when all three slices are new.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from Testing.web.conftest import Served, Tab, serving

from .page_browser import browsing
from .page_use import random_use

WATCH = """
window.watch = { begun: 0, number: 0, changed: 0, loads: {} };
document.addEventListener("mousedown", () => { watch.begun = performance.now(); }, true);
new MutationObserver(() => {
  const number = Number(document.querySelector("[data-number]")?.dataset.number ?? 0);
  if (number === watch.number) return;
  watch.number = number;
  watch.changed = performance.now();
  watch.look?.();
}).observe(document, { subtree: true, childList: true, attributeFilter: ["data-number"] });
document.addEventListener("load", event => {
  if (!event.target.classList?.contains("image-display-area")) return;
  const view = [...document.querySelectorAll(".layout-grid-item")].findIndex(
    item => item.contains(event.target));
  requestAnimationFrame(() => {
    (watch.loads[view] ??= []).push(performance.now());
    watch.look?.();
  });
}, true);
watch.first = view => watch.loads[view]?.find(
  time => time > Math.max(watch.begun, watch.changed - 50)) ?? Infinity;
watch.took = () => Math.max(...[0, 2, 3].map(watch.first)) - watch.begun;
"""
"""A picture may be drawn a moment before the number of its answer is."""
SEEN = """before => new Promise((seen, late) => {
  const seconds = () => watch.number > before && watch.took() < Infinity ? watch.took() / 1e3 : 0;
  const look = () => { if (seconds()) { clearTimeout(limit); seen(seconds()); } };
  const limit = setTimeout(late, 20000, "no picture within 20 s");
  watch.look = look;
  look();
})"""
"""Asked when something was drawn, not over and over: that would take time from the drawing."""
MARKS = ("Traceback", "ERROR", "ERR|")
"""Of a fault in the log; VTK's warnings stand there too."""
DRAG_REST_MS = 1_000
GRASP = 24
"""Pixels about the middle of a thumb that take hold of it and do not move it."""
BRIGHT = """() => {
  const image = document.querySelector(".layout-grid-item img.image-display-area");
  if (!image?.complete || !image.naturalWidth) return false;
  const canvas = new OffscreenCanvas(32, 32), context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, 32, 32);
  const values = context.getImageData(0, 0, 32, 32).data.filter((_, n) => n % 4 == 1);
  return Math.max(...values) > 60;
}"""


@dataclass
class Times:
    """Seconds of one server, its first picture and its moves."""

    start: dict[str, float] = field(default_factory=dict)
    moves: list[float] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Tables of them."""
        rows = [f"| {what} | {seconds:.1f} |" for what, seconds in self.start.items()]
        lines = ["| from `serve` to | [s] |", "|---|---|", *rows, ""]
        lines += ["| new picture after | median [ms] | slowest 5 % [ms] | worst [ms] | times |"]
        lines += ["|---|---|---|---|---|"]
        figures = np.median(self.moves), np.percentile(self.moves, 95), max(self.moves)
        text = " | ".join(f"{1e3 * figure:.0f}" for figure in figures)
        lines.append(f"| a click on a slider | {text} | {len(self.moves)} |")
        most = max(self.waiting, default=0)
        after = f"Requests answered after the end of a drag, those on their way included: {most}."
        return [*lines, "", after, ""]


def begin(browser: Any, served: Served, times: Times, begun: float) -> Tab:
    """Open the page; note when there is a picture, and when it is registered."""

    def note(what: str) -> None:
        times.start[what] = time.perf_counter() - begun

    tab = Tab(browser, served.url, script=WATCH)
    tab.page.wait_for_selector(".layout-grid-item", state="attached")
    note("the page")
    tab.page.wait_for_function(BRIGHT, polling=50)
    note("the first picture")
    tab.page.wait_for_selector("[data-number]")
    note("the first answer")
    tab.settled()
    note("the answer at rest")
    return tab


def click_sliders(tab: Tab, moves: int, chance: random.Random) -> list[float]:
    """Seconds from a click at a random place of a random slider to three new slices.

    Clicks follow one another as those of a user, whether or not the last answer is final.
    """
    took = []
    sliders = tab.page.locator(".tissue .weight .v-slider:not(.v-input--disabled)")
    for _ in range(moves):
        slider = sliders.nth(chance.randrange(sliders.count()))
        slider.scroll_into_view_if_needed()
        before, place = tab.number(), chance.choice(far_from_thumb(slider))
        box = slider.locator(".v-slider-track").bounding_box()
        tab.page.mouse.click(place, box["y"] + box["height"] / 2)
        took.append(tab.page.evaluate(SEEN, before))
        tab.page.wait_for_timeout(chance.uniform(300, 2000))
    return took


def far_from_thumb(slider: Any) -> list[float]:
    """Places along a slider where a click moves it."""
    track = slider.locator(".v-slider-track").bounding_box()
    thumb = slider.locator(".v-slider-thumb").bounding_box()
    middle = thumb["x"] + thumb["width"] / 2
    places = (track["x"] + track["width"] * part for part in np.linspace(0.05, 0.95, 19))
    return [place for place in places if abs(place - middle) > GRASP]


def drag_sliders(tab: Tab, drags: int, chance: random.Random, times: Times) -> None:
    """Drag; then how many requests are still answered: one shown, one at work, one that waits."""
    for _ in range(drags):
        # Of a tissue whose λ is at its highest no μ can be moved.
        rows = tab.page.locator(".tissue:not(:has([data-weight=mu].v-input--disabled))").all()
        tissue = chance.choice(rows).get_attribute("data-tissue")
        tab.drag(tissue, "mu", chance.uniform(0.05, 0.9), steps=60)
        shown = tab.number()
        tab.page.wait_for_timeout(DRAG_REST_MS)
        tab.settled()
        times.waiting.append(tab.number() - shown)


def measure(given: argparse.Namespace) -> list[str]:
    """Lines of the report."""
    times, chance = Times(), random.Random(given.seed)
    with browsing() as browser:
        begun = time.perf_counter()
        with serving(*given.serve) as served:
            tab = begin(browser.driver, served, times, begun)
            times.moves = click_sliders(tab, given.moves, chance)
            drag_sliders(tab, given.drags, chance, times)
            lines = times.lines()
            if given.minutes:
                lines += random_use(tab, served, browser.pid, 60 * given.minutes, chance)
            logged = served.logs().splitlines()
            # Before the server ends: that the connection closes then is no fault.
            faults = [*tab.errors, *(line for line in logged if any(m in line for m in MARKS))]
    return [*lines, f"Faults in the browser's console and in the log: {len(faults)}.", *faults]


def main() -> None:
    """Measure, and write ``page.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=60)
    parser.add_argument("--drags", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=0, help="of random use")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    parser.add_argument("serve", nargs="*", default=["--demo", "cardiac"])
    given = parser.parse_args()
    report = "\n".join(measure(given)) + "\n"
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "page.md").write_text(report, encoding="utf-8")
    sys.stdout.write(report)


if __name__ == "__main__":
    main()
