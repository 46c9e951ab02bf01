"""Random use of the page, and what it costs in memory."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from Testing.web.conftest import Served, Tab, children

SAMPLE_SECONDS = 15.0
SETTLE_MS = 1_000
KEYS = [*"123456jgkqwasztx", "Shift+1", "Shift+2", "Control+z", "Control+z", "Control+y"]
TABS = ("display", "estimate", "compare", "quality")


def random_use(
    tab: Tab, served: Served, browser: int, seconds: float, chance: random.Random
) -> list[str]:
    """Do anything, for so long; table of the memory meanwhile.

    Args:
        tab: the page.
        served: its server.
        browser: process id.
        seconds: how long.
        chance: chooses.
    """
    actions, script = Actions(tab, chance), Script(tab)
    rows = ["| minute | front | session | browser | less caches | script [MiB] | elements |"]
    rows.append("|---|---|---|---|---|---|---|")
    begun, due = time.monotonic(), 0.0
    while (now := time.monotonic() - begun) < seconds:
        if now >= due:
            due += SAMPLE_SECONDS
            front, session = memory([served.process.pid]), memory(served.workers())
            full = memory(family(browser))
            script.clear_caches()
            held, elements = script.holds()
            less = memory(family(browser))
            sizes = f"{front:.0f} | {session:.0f} | {full:.0f} | {less:.0f} | {held:.1f}"
            rows.append(f"| {now / 60:.1f} | {sizes} | {elements} |")
        actions.any()
        tab.page.wait_for_timeout(chance.uniform(50, 600))
    done = ", ".join(f"{name} {count}" for name, count in sorted(actions.done.items()))
    return [f"Random use: {done}.", "", *rows, ""]


class Script:
    """What the page holds in the browser, with and without the caches of pictures."""

    def __init__(self, tab: Tab) -> None:
        self._tab = tab
        self._talk = tab.page.context.new_cdp_session(tab.page)
        self._talk.send("Performance.enable")

    def holds(self) -> tuple[float, int]:
        """MiB that its objects take once the rubbish is collected, and elements of the page."""
        self._talk.send("HeapProfiler.collectGarbage")
        found = self._talk.send("Performance.getMetrics")["metrics"]
        values = {metric["name"]: metric["value"] for metric in found}
        return values["JSHeapUsedSize"] / 2**20, int(values["Nodes"])

    def clear_caches(self) -> None:
        """Tell the browser that memory is short: what it then still holds is in use."""
        self._talk.send("Memory.simulatePressureNotification", {"level": "critical"})
        self._tab.page.wait_for_timeout(SETTLE_MS)


class Actions:
    """What a user may do.

    Args:
        tab: where.
        chance: chooses.

    Attributes:
        done: how often each was done.
    """

    def __init__(self, tab: Tab, chance: random.Random) -> None:
        self.tab, self.chance = tab, chance
        self.done: dict[str, int] = {}
        self._all: list[tuple[int, Callable[[], None]]] = [
            (12, self.key),
            (10, self.slide),
            (4, self.scroll),
            (3, self.rotate),
            (3, self.open_tab),
            (2, self.enter),
            (2, self.preset),
            (1, self.live),
            (1, self.estimate),
            (1, self.sense),
            (1, self.download),
        ]

    def any(self) -> None:
        """One of them."""
        weights, actions = zip(*self._all, strict=True)
        action = self.chance.choices(actions, weights)[0]
        self.done[action.__name__] = self.done.get(action.__name__, 0) + 1
        action()

    def key(self) -> None:
        """Display, slices, undo, keep, switch."""
        self.tab.press(self.chance.choice(KEYS))

    def slide(self) -> None:
        """Drag a slider."""
        names = [row.get_attribute("data-tissue") for row in self.tab.page.locator(".tissue").all()]
        weight, place = self.chance.choice(("lam", "mu")), self.chance.uniform(0, 1)
        self.tab.tissue(names[0]).scroll_into_view_if_needed()
        self.tab.drag(self.chance.choice(names), weight, place, steps=self.chance.randint(1, 30))

    def enter(self) -> None:
        """Type a value, which may be none."""
        values = self.tab.page.locator(".tissue input.value")
        field = values.nth(self.chance.randrange(values.count()))
        field.fill(self.chance.choice(("0.1", "0,25", "0.6", "much")))
        field.press("Enter")

    def live(self) -> None:
        """Switch between sliders that are answered at once and at rest."""
        self.tab.page.click(".panel-head input[type=checkbox]")

    def scroll(self) -> None:
        """Zoom or step with the wheel in a view."""
        self._over_a_view()
        self.tab.page.mouse.wheel(0, self.chance.choice((-120, 120)))

    def rotate(self) -> None:
        """Drag in a view."""
        x, y = self._over_a_view()
        self.tab.page.mouse.down()
        self.tab.page.mouse.move(x + 40, y + 25, steps=8)
        self.tab.page.mouse.up()

    def open_tab(self) -> None:
        """Another tab of the panel."""
        self.tab.page.click(f'[data-tab="{self.chance.choice(TABS)}"]')

    def preset(self) -> None:
        """The preset of another tissue."""
        rows = self.tab.page.locator(".tissue")
        rows.nth(self.chance.randrange(rows.count())).locator("button").nth(1).click()
        self.tab.page.locator(".v-overlay--active [data-preset]").nth(
            self.chance.randrange(5)
        ).click()

    def estimate(self) -> None:
        """Estimate, and cancel after a while."""
        self.tab.press("e")
        self.tab.page.wait_for_timeout(self.chance.uniform(0, 5000))
        self.tab.press("Escape")

    def sense(self) -> None:
        """Compute the sensitivity, and cancel after a while."""
        self.tab.page.click('[data-tab="display"]')
        self.tab.page.locator("[data-action=sense]:enabled").click()
        self.tab.page.wait_for_timeout(self.chance.uniform(0, 5000))
        self.tab.press("Escape")

    def download(self) -> None:
        """Register for the result folder, and cancel after a while."""
        self.tab.press("d")
        self.tab.page.wait_for_timeout(self.chance.uniform(0, 5000))
        self.tab.press("Escape")

    def _over_a_view(self) -> tuple[float, float]:
        box = (
            self.tab.page.locator(".layout-grid-item").nth(self.chance.randrange(4)).bounding_box()
        )
        x = box["x"] + box["width"] * self.chance.uniform(0.3, 0.7)
        y = box["y"] + box["height"] * self.chance.uniform(0.3, 0.7)
        self.tab.page.mouse.move(x, y)
        return x, y


def memory(pids: Iterable[int]) -> float:
    """MiB that processes hold; what several share counts once."""
    return sum(map(_share, pids))


def _share(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def family(pid: int) -> list[int]:
    """Process ids of a process and of everything below it."""
    return [pid, *(below for child in children(pid) for below in family(child))]
