"""The whole loop in a real browser: from a slider to the picture, and everything around it."""

from __future__ import annotations

import io
import os
import re
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image as Picture

from ElasticHyperRegLib.cli.shell import run
from ElasticHyperRegLib.io import write_image, write_labels
from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom
from web.workers import environment

from .conftest import DEMO_SIZE, Tab

pytestmark = pytest.mark.slow
CORONAL = 2
PATIENCE = 60
SAME_MM = 0.01
"""Of two ways to one transform: libraries round by where in memory an image happens to lie."""
ROLES = ("fixed", "moving", "fixed_labels", "moving_labels")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The phantom as a user has it: files."""
    folder = tmp_path_factory.mktemp("phantom")
    phantom = make_phantom(PhantomOptions(size=DEMO_SIZE))
    for side in ("fixed", "moving"):
        write_image(getattr(phantom, side), folder / f"{side}.nii.gz", dtype="int16")
        write_labels(getattr(phantom, f"{side}_labels"), folder / f"{side}_labels.nii.gz")
    return folder


def picture(tab: Tab, view: int = CORONAL) -> np.ndarray:
    """What a view shows, (rows, columns, 3), once it no longer changes."""
    area = tab.page.locator(".layout-grid-item").nth(view)
    taken = [b""]
    while len(taken) < PATIENCE and (len(taken) < 4 or len(set(taken[-4:])) > 1):
        tab.page.wait_for_timeout(200)
        taken.append(area.screenshot())
    return np.asarray(Picture.open(io.BytesIO(taken[-1])).convert("RGB"), dtype=float)


def field_of(transform: Path, image: Path) -> np.ndarray:
    """Its displacements at the voxels of ``image``, LPS mm."""
    where = sitk.ReadImage(str(image))
    found = sitk.TransformToDisplacementField(
        sitk.ReadTransform(str(transform)),
        sitk.sitkVectorFloat64,
        where.GetSize(),
        where.GetOrigin(),
        where.GetSpacing(),
        where.GetDirection(),
    )
    return sitk.GetArrayFromImage(found)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch work with as many threads as elsewhere."""
    usual = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def choose(tab: Tab, label: str, option: str) -> None:
    tab.page.locator(".open-dialog .v-select", has_text=label).click()
    tab.page.locator(".v-overlay .v-list-item", has_text=re.compile(f"^{option}$")).click()


def test_demo_shows_the_pair(demo):
    rows = demo.page.locator("[data-tissue]")
    names = [rows.nth(i).get_attribute("data-tissue") for i in range(rows.count())]
    assert names == ["soft_tissue", "lung", "bone", "heart", "liver", "background"]
    assert demo.page.locator(".layout-grid-item").count() == 4
    assert all(picture(demo, view).std() > 20 for view in range(4))
    assert "Research use only" in demo.page.inner_text("header")
    assert float(demo.page.inner_text("[data-answer]").split("→")[1].split()[0]) > 0.85


def test_dragging_mu_changes_the_picture_where_the_tissue_is(demo):
    demo.press("1")
    grey = picture(demo).mean(axis=2)
    demo.press("2")
    before, number, mu = picture(demo), demo.number(), demo.weight("lung", "mu")
    figures = demo.page.inner_text("[data-answer]")
    demo.drag("lung", "mu", 0.95)
    demo.settled(number)
    changed = np.abs(picture(demo) - before).mean(axis=2)

    rows, columns = grey.shape
    middle = np.s_[60 : rows // 2, columns // 4 : 3 * columns // 4]
    assert demo.page.inner_text("[data-answer]") != figures
    lung = changed[middle][grey[middle] < 90]
    liver = changed[3 * rows // 4 : -40, columns // 4 : columns // 2]
    assert lung.size > 1000
    assert lung.mean() > 1
    assert lung.mean() > 3 * liver.mean()
    assert demo.weight("lung", "mu") > mu + 0.3
    assert demo.weight("bone", "mu") == pytest.approx(0.81)


def test_volume_change_and_arrows_are_drawn_over_the_picture(demo):
    bare = picture(demo)
    demo.press("j")
    demo.page.wait_for_selector(".legend")
    coloured = picture(demo)
    assert np.abs(coloured - bare).mean() > 5
    demo.press("g")
    demo.page.wait_for_selector("[data-glyphs=arrows].v-btn--active")
    assert np.abs(picture(demo) - coloured).max() > 50
    demo.page.click("[data-glyphs=off]")
    demo.press("j")
    demo.page.wait_for_selector(".legend", state="detached")
    demo.press("3")


def test_the_window_sets_brightness_and_contrast(demo):
    usual = picture(demo)
    demo.page.click('[data-window="bone"]')
    values = demo.page.locator(".window .value")
    values.first.filter(has_text="-450").wait_for()
    assert picture(demo).mean() < 0.7 * usual.mean()
    demo.page.locator(".window .v-slider-thumb").nth(1).press("Home")
    demo.page.wait_for_function(
        "() => Number(document.querySelectorAll('.window .value')[1].innerText) < -400"
    )
    assert picture(demo).mean() > 1.3 * usual.mean()
    demo.page.click('[data-window="auto"]')
    values.first.filter(has_text=re.compile("-[1-9][0-9]{2,}")).wait_for()
    assert np.abs(picture(demo) - usual).mean() < 1


def test_undo_brings_the_value_back(demo):
    number = demo.number()
    demo.press("Control+z")
    demo.settled(number)
    demo.becomes("lung", "mu", 0.3)


def test_quality_table_holds_every_tissue(demo):
    demo.page.click('[data-tab="quality"]')
    table = demo.page.locator('[data-table="quality"]')
    table.wait_for()
    text = table.inner_text()
    assert all(name in text for name in ("soft tissue", "lung", "bone", "heart", "liver"))
    assert "→" in text
    assert table.locator("thead th").last.inner_text() == "pull"
    pull = table.locator("tr", has_text="lung").locator("td").last.inner_text()
    assert pull == "" or 0 < float(pull) < 2  # few nodes lie within a tissue of this small phantom


def test_kept_settings_are_shown_again(demo):
    demo.page.click('[data-tab="compare"]')
    demo.page.click('[data-action="keep"]')
    first, number = demo.weight("liver", "lam"), demo.number()
    kept = picture(demo)
    demo.tissue("liver").locator("button").nth(1).click()
    demo.page.locator('.v-overlay--active [data-preset="bone"]').click()
    demo.settled(number)
    assert demo.weight("liver", "mu") == pytest.approx(0.81)
    other = picture(demo)
    assert np.abs(other - kept).max() > 10
    demo.page.click('[data-action="keep"]')
    demo.page.locator('[data-kept="A"] button').first.click()
    demo.page.wait_for_selector('[data-kept="A"].shown')
    demo.becomes("liver", "lam", first)
    assert np.abs(picture(demo) - kept).max() < 5
    demo.press("Shift+2")
    demo.page.wait_for_selector('[data-kept="B"].shown')
    demo.becomes("liver", "mu", 0.81)
    assert np.abs(picture(demo) - other).max() < 5


def test_estimate_is_cancelled(demo):
    demo.page.click('[data-tab="estimate"]')
    before = demo.weight("lung", "mu")
    demo.page.click('[data-action="estimate"]')
    demo.page.click('[data-action="cancel"]')
    demo.page.wait_for_selector('[data-action="cancel"]', state="detached")
    assert demo.weight("lung", "mu") == before


def test_estimate_sets_the_values_and_draws_the_surface(demo):
    demo.page.click('[data-tab="estimate"]')
    judge = demo.page.locator("[data-field=objective] input, input[data-field=objective]").first
    for text in ("dice=1, similarity=a lot", "dice=1, similarity=0.5"):
        judge.fill(text)
        judge.press("Enter")
        demo.page.click('[data-action="estimate"]')
        if "a lot" in text:
            demo.page.locator("[data-message]", has_text="NAME or NAME=WEIGHT").wait_for()
    demo.page.wait_for_selector("[data-chosen]")
    assert demo.page.locator("[data-action=cancel]").count() == 1  # the first surface comes early
    assert demo.page.locator("[data-tried]").count() >= 6  # and so coarse
    demo.page.locator(".estimate .figures tbody tr").first.wait_for()
    assert demo.page.locator("[data-tried]").count() >= 15
    assert demo.page.locator(".heat-map rect").first.bounding_box()["width"] > 5
    assert demo.page.locator(".estimate .figures tbody tr").count() == 7
    rests_on = demo.page.inner_text(".estimate .note >> nth=0")
    assert "labels" in rests_on and "likeness of the images" in rests_on


def test_broken_upload_says_what_is_wrong(demo, tmp_path):
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"not a volume")
    demo.press("o")
    role = demo.page.locator('[data-role="fixed"]')
    role.locator("input").set_input_files(broken)
    role.locator(".problem").wait_for()
    assert "broken.nii.gz" in role.inner_text()
    assert "expected" in role.inner_text()
    demo.page.keyboard.press("Escape")


@pytest.fixture(scope="module")
def second(browser, server, files):
    """Another tab, with the phantom from files, registered."""
    tab = Tab(browser, server.url)
    tab.page.locator(".pair-title", has_text="phantom").wait_for()
    tab.press("o")
    for role in ROLES:
        place = tab.page.locator(f'[data-role="{role}"]')
        place.locator("input").set_input_files(files / f"{role}.nii.gz")
        place.locator(".given").wait_for()
    choose(tab, "Initial alignment", "none")
    choose(tab, "Tissue names", "phantom")
    tab.page.click('[data-action="start"]')
    tab.page.locator(".pair-title", has_text="moving.nii.gz").wait_for()
    tab.page.wait_for_function("!document.querySelector('.curtain')")
    yield tab
    tab.page.close()


def test_uploaded_pair_gives_the_transform_of_the_command_line(demo, second, files, tmp_path):
    before = demo.number()
    with second.page.expect_download() as caught:
        second.press("d")
    caught.value.save_as(tmp_path / "result.zip")
    with zipfile.ZipFile(tmp_path / "result.zip") as archive:
        archive.extractall(tmp_path / "page")
    arguments = ["register", "--out", str(tmp_path / "line")]
    for role in ROLES:
        arguments += [f"--{role.replace('_', '-')}", str(files / f"{role}.nii.gz")]
    with threads(int(environment(tmp_path)["OMP_NUM_THREADS"])):  # sums depend on their number
        assert run([*arguments, "--tissues", "phantom", "--initial", "none"]) == 0
    for name in ("transform.h5", "inverse.h5"):
        page, line = (
            field_of(tmp_path / place / name, files / "fixed.nii.gz") for place in ("page", "line")
        )
        assert np.ptp(page) > 5
        assert np.abs(page - line).max() < SAME_MM
    assert demo.number() == before
    assert second.errors == []


def test_a_pair_that_cannot_be_opened_leaves_the_open_one(second):
    title, number = second.page.inner_text(".pair-title"), second.number()
    second.press("o")
    choose(second, "Tissue names", "cardiac-mr")
    second.page.click('[data-action="start"]')
    second.page.locator("[data-message]", has_text="label").wait_for()
    assert second.page.locator(".open-dialog").is_visible()
    second.page.locator("[data-message] button").click()
    second.page.keyboard.press("Escape")
    second.page.locator(".open-dialog").wait_for(state="hidden")
    assert (second.page.inner_text(".pair-title"), second.number()) == (title, number)
    assert second.page.locator("[data-tissue]").count() == 6
    assert second.page.locator(".doing .v-progress-linear").count() == 0


def test_two_tabs_do_not_disturb_each_other(demo, second):
    before = demo.number(), demo.weight("lung", "mu"), picture(demo)
    number = second.number()
    second.drag("lung", "mu", 0.9)
    second.settled(number)
    assert second.weight("lung", "mu") > before[1] + 0.2
    assert (demo.number(), demo.weight("lung", "mu")) == before[:2]
    assert np.array_equal(picture(demo), before[2])


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1280, 800), (820, 1180)])
def test_everything_fits_on_the_screen(demo, width, height):
    demo.page.set_viewport_size({"width": width, "height": height})
    try:
        wide = demo.page.evaluate("document.documentElement.scrollWidth")
        boxes = [box.bounding_box() for box in demo.page.locator(".layout-grid-item").all()]
        assert wide <= width
        assert len(boxes) == 4
        assert all(box["width"] > 150 and box["height"] > 150 for box in boxes)
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    finally:
        demo.page.set_viewport_size({"width": 1280, "height": 900})


def test_the_theme_is_changed_by_a_key(demo):
    def ground() -> str:
        return demo.page.evaluate("getComputedStyle(document.querySelector('header')).color")

    dark = ground()
    demo.press("t")
    demo.page.wait_for_function(
        "was => getComputedStyle(document.querySelector('header')).color !== was", arg=dark
    )
    light = ground()
    demo.press("t")
    demo.page.wait_for_function(
        "was => getComputedStyle(document.querySelector('header')).color !== was", arg=light
    )
    assert ground() == dark


def test_a_session_that_is_killed_says_so_and_the_others_live_on(server, demo, second):
    victim = server.workers()[-1]
    os.kill(victim, signal.SIGKILL)
    second.page.wait_for_selector("text=The session ended by a fault")
    log = re.search(r"the file (\S+\.log)", second.page.inner_text("body"))
    assert log
    Path(log[1]).unlink()
    number = demo.number()
    demo.drag("heart", "mu", 0.9)
    demo.settled(number)
    assert victim not in server.workers()


def test_console_stays_silent(demo):
    assert demo.errors == []
