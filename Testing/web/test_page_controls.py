"""Every control of the page once, in a real browser."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from .conftest import Tab
from .test_page import picture

pytestmark = pytest.mark.slow
REST_MS = 1000
MOST_PICTURES = 100
MU = "document.querySelectorAll('[data-tissue=bone] input.value')[1].value"
AXIAL = 0


def hold(tab: Tab, tissue: str, weight: str, by: float) -> None:
    """Drag a slider by part of its track, and do not let it go."""
    place = tab.tissue(tissue).locator(f'[data-weight="{weight}"]')
    thumb = place.locator(".v-slider-thumb").bounding_box()
    track = place.locator(".v-slider-track").bounding_box()
    x, y = thumb["x"] + thumb["width"] / 2, track["y"] + track["height"] / 2
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    tab.page.mouse.move(x + by * track["width"], y, steps=4)


def live_box(tab: Tab) -> Any:
    return tab.page.locator(".panel-head input[type=checkbox]")


def test_every_mode_shows_another_picture(demo):
    shown = {}
    for key, mode in (("1", "fixed"), ("2", "warped"), ("4", "checkerboard"), ("5", "difference")):
        demo.press(key)
        demo.page.wait_for_selector(f'[data-mode="{mode}"].v-btn--active')
        shown[mode] = picture(demo)
    for mode, image in shown.items():
        others = [np.abs(image - other).mean() for name, other in shown.items() if name != mode]
        assert min(others) > 0.5, mode
    board, fixed, warped = (shown[mode] for mode in ("checkerboard", "fixed", "warped"))
    differs = np.abs(fixed - warped).max(-1) > 30
    nearer = np.abs(board - fixed).max(-1) < np.abs(board - warped).max(-1)
    assert 0.2 < nearer[differs].mean() < 0.8, "both by turns"


def test_flicker_swaps_fixed_and_warped_by_itself(demo):
    area = demo.page.locator(".layout-grid-item").nth(AXIAL)
    demo.press("6")
    demo.page.wait_for_selector('[data-mode="flicker"].v-btn--active')
    seen = [area.screenshot()]
    while sum(one != other for one, other in pairwise(seen)) < 2:  # there and back
        assert len(seen) < MOST_PICTURES
        demo.page.wait_for_timeout(100)
        seen.append(area.screenshot())
    demo.press("3")


def test_redo_brings_back_what_undo_took(demo):
    number, before = demo.number(), demo.weight("heart", "mu")
    demo.drag("heart", "mu", 0.8)
    demo.settled(number)
    after = demo.weight("heart", "mu")
    assert after > before + 0.1
    for key, value in (("Control+z", before), ("Control+y", after), ("Control+z", before)):
        demo.press(key)
        demo.becomes("heart", "mu", value)


def test_a_locked_ratio_is_kept(demo):
    number, ratio = demo.number(), demo.weight("lung", "mu") / demo.weight("lung", "lam")
    lock = demo.tissue("lung").locator("button").first
    lock.click()
    demo.tissue("lung").locator(".mdi-lock").wait_for()
    demo.drag("lung", "mu", 0.7)
    demo.settled(number)
    lam, mu = (demo.weight("lung", name) for name in ("lam", "mu"))
    assert lam > 0.11 and mu / lam == pytest.approx(ratio, abs=0.05)
    lock.click()
    demo.tissue("lung").locator(".mdi-lock-open-variant-outline").wait_for()


def test_values_are_typed_and_nonsense_is_put_right(demo):
    number = demo.number()
    field = demo.tissue("liver").locator("input.value").first
    field.fill("0,215")
    field.press("Enter")
    demo.becomes("liver", "lam", 0.215)
    demo.settled(number)
    for nonsense, told in (("much", "a number from 0 to"), ("0.9", "λ + μ")):
        field.fill(nonsense)
        field.press("Enter")
        demo.page.locator("[data-message]", has_text=told).wait_for()
        field.blur()
        demo.becomes("liver", "lam", 0.215)
    demo.page.locator("[data-message] button").click()
    demo.page.locator("[data-message]").wait_for(state="hidden")


def test_the_sensitivity_is_shown_until_a_slider_moves(demo):
    bare = picture(demo)
    demo.page.click("[data-action=sense]")
    demo.page.locator("[data-table=spread] tbody tr").first.wait_for()
    legend = demo.page.locator("[data-legend=sensitivity] .legend-step")
    legend.first.wait_for()
    assert legend.first.inner_text() == "0 mm"
    displacement = picture(demo)
    assert np.abs(displacement - bare).mean() > 2
    demo.page.click("[data-spread=volume]")
    legend.first.get_by_text("0", exact=True).wait_for()
    assert "mm" not in "".join(legend.all_inner_texts())
    volume = picture(demo)
    assert min(np.abs(volume - other).mean() for other in (bare, displacement)) > 0.5
    assert demo.page.locator("[data-table=spread] tbody tr").count() >= 5
    demo.page.click("[data-switch=sensitivity] input")
    legend.first.wait_for(state="detached")
    demo.page.click("[data-switch=sensitivity] input")
    legend.first.get_by_text("0", exact=True).wait_for()
    number = demo.number()
    demo.drag("lung", "mu", 0.75)
    demo.settled(number)
    demo.page.wait_for_selector("[data-table=spread]", state="detached")
    assert legend.count() == 0


def test_slices_say_which_way_they_look_and_where_they_are(demo):
    marks = demo.page.locator("[data-marks]")
    edges = [
        [marks.nth(view).locator(f".edge.{edge}").inner_text() for edge in ("left", "right", "top")]
        for view in range(3)
    ]
    assert edges == [["R", "L", "A"], ["R", "L", "S"], ["A", "P", "S"]]
    place = marks.nth(AXIAL).locator(".position")
    before = place.inner_text()
    assert re.fullmatch(r"[IS] \d+\.\d mm", before)
    assert re.fullmatch(r"\d+ mm", marks.nth(AXIAL).locator(".ruler").inner_text())
    demo.press("w")
    demo.page.wait_for_function(
        "before => document.querySelector('[data-marks] .position').innerText !== before",
        arg=before,
    )


def test_only_a_live_slider_is_answered_before_it_is_let_go(demo):
    for live in (True, False):
        number, mu = demo.number(), demo.weight("bone", "mu")
        live_box(demo).set_checked(live)
        hold(demo, "bone", "mu", -0.1)
        demo.page.wait_for_function(f"before => {MU} < before", arg=f"{mu:.3f}")
        demo.page.wait_for_timeout(REST_MS)
        assert (demo.number() > number) == live
        demo.page.mouse.up()
        demo.settled(number)


def test_the_next_pair_starts_with_nothing_of_the_one_before_but_the_choices(demo):
    demo.page.click('[data-tab="compare"]')
    demo.page.click('[data-action="keep"]')
    demo.page.wait_for_selector("[data-kept]")
    demo.press("o")
    demo.page.click('[data-action="demo"]')
    demo.page.wait_for_function(
        "() => document.querySelector('.curtain') && !document.querySelector('[data-kept]')"
        " && !document.querySelector('[data-answer]')"
        " && document.querySelector('.tissue-list').style.display === 'none'"
    )
    demo.settled()
    assert not live_box(demo).is_checked()
    assert demo.weight("bone", "mu") == pytest.approx(0.81)
    number = demo.number()
    hold(demo, "bone", "mu", -0.1)
    demo.page.wait_for_timeout(REST_MS)
    assert demo.number() == number, "the box holds for this pair too"
    demo.page.mouse.up()
    demo.settled(number)
    assert demo.errors == []
