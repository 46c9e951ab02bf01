"""Slices are drawn one after the other, each once for however many changes; 3D when it changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trame_slicer", reason="the extra app is not installed")

import numpy as np
from slicer import vtkMRMLSliceViewDisplayableManagerFactory
from trame_slicer.core import SlicerApp
from trame_slicer.views import NoScheduleRendering, ViewProps
from vtkmodules.vtkRenderingCore import vtkActor, vtkRenderer

from web.views import FlatView, Turns, looks, slice_marks


def drawn(ask: Any) -> list[str]:
    """What is drawn when ``ask`` is given turns and the function that draws."""
    order: list[str] = []

    async def scene() -> None:
        turns = Turns()
        await ask(turns, order)
        while turns.busy:
            await asyncio.sleep(0)

    with ThreadPoolExecutor(1) as pool:  # the browser of other tests has a loop in this thread
        pool.submit(asyncio.run, scene()).result()
    return order


def test_each_view_once_in_the_order_of_asking():
    async def ask(turns: Turns, order: list[str]) -> None:
        for view in "abcab":
            turns.ask(view, partial(order.append, view))

    assert drawn(ask) == ["a", "b", "c"]


def test_a_change_after_its_turn_is_drawn_again():
    async def ask(turns: Turns, order: list[str]) -> None:
        turns.ask("a", lambda: order.append("a"))
        turns.ask("b", lambda: order.append("b"))
        while order != ["a"]:
            await asyncio.sleep(0)
        turns.ask("a", lambda: order.append("a again"))

    assert drawn(ask) == ["a", "b", "a again"]


def test_others_are_heard_between_two_views():
    async def ask(turns: Turns, order: list[str]) -> None:
        async def slider() -> None:
            while "a" not in order:
                await asyncio.sleep(0)
            order.append("slider")

        heard = asyncio.ensure_future(slider())
        for view in "abc":
            turns.ask(view, partial(order.append, view))
        await heard

    assert drawn(ask) == ["a", "slider", "b", "c"]


def test_a_view_that_cannot_be_drawn_does_not_hold_up_the_others(caplog):
    def fail() -> None:
        raise RuntimeError("no surface")

    async def ask(turns: Turns, order: list[str]) -> None:
        turns.ask("a", fail)
        turns.ask("b", lambda: order.append("b"))

    assert drawn(ask) == ["b"]
    assert "no surface" in caplog.text


class Window:
    """What ``looks`` asks of a view; a real one needs a way to draw."""

    def __init__(self) -> None:
        self.renderer, self.size = vtkRenderer(), (300, 200)

    def renderers(self) -> list[Any]:
        return [self.renderer]

    def render_window(self) -> Any:
        return SimpleNamespace(GetSize=lambda: self.size)


def test_a_view_looks_the_same_until_something_visible_changes():
    view, actor = Window(), vtkActor()
    view.renderer.GetActiveCamera()
    seen = [looks(view)]

    def changed() -> bool:
        seen.append(looks(view))
        return bool(seen[-1] != seen[-2])

    assert not changed()
    view.renderer.AddActor(actor)
    assert changed()
    assert not changed()
    actor.GetProperty().SetOpacity(0.5)
    assert changed()
    actor.VisibilityOff()
    assert changed()
    actor.GetProperty().SetOpacity(0.7)
    assert not changed()
    view.renderer.GetActiveCamera().Azimuth(10)
    assert changed()
    view.size = 400, 300
    assert changed()
    assert not changed()


AXIAL = [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]
CORONAL = [[-1, 0, 0], [0, 0, 1], [0, 1, 0]]
SAGITTAL = [[0, -1, 0], [0, 0, 1], [-1, 0, 0]]
"""To the right, upwards and out of a slice, as 3D Slicer has them."""


def placed(axes: Sequence[Sequence[float]], middle: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.transpose(axes), middle
    return matrix


@pytest.mark.parametrize(
    ("axes", "sides", "position"),
    [
        (AXIAL, "RLAP", "I 12.4 mm"),
        (CORONAL, "RLSI", "A 4.0 mm"),
        (SAGITTAL, "APSI", "R 3.0 mm"),
    ],
)
def test_a_slice_tells_its_sides_and_its_place(axes, sides, position):
    marks = slice_marks(placed(axes, (3.0, 4.0, -12.44)), 300.0)
    assert "".join(marks[edge] for edge in ("left", "right", "top", "bottom")) == sides
    assert marks["position"] == position


def test_an_oblique_slice_has_two_letters_where_one_would_mislead():
    turn = np.radians(30)
    axes = [[-np.cos(turn), np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    marks = slice_marks(placed(axes, (0, 0, 0)), 300.0)
    assert (marks["left"], marks["right"], marks["top"]) == ("RP", "LA", "AR")


@pytest.mark.parametrize(
    ("width_mm", "ruler", "part"),
    [(300.0, "50 mm", "16.67%"), (431.0, "100 mm", "23.20%"), (7.0, "2 mm", "28.57%")],
)
def test_the_ruler_is_a_round_length(width_mm, ruler, part):
    marks = slice_marks(placed(AXIAL, (0, 0, 0)), width_mm)
    assert (marks["ruler"], marks["ruler_part"]) == (ruler, part)


def test_a_slice_of_the_page_has_marks_and_no_legend_of_its_own():
    factory = vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    # Views of other tests may have brought it along.
    factory.UnRegisterDisplayableManager("vtkMRMLColorLegendDisplayableManager")
    app = SlicerApp()
    view = FlatView(
        Turns(),
        scene=app.scene,
        app_logic=app.app_logic,
        name="Red",
        scheduled_render_strategy=NoScheduleRendering(),
    )
    view.set_view_properties(ViewProps(orientation="Axial"))
    managers = view.get_displayable_manager_by_class
    assert managers("vtkMRMLColorLegendDisplayableManager") is None
    assert managers("vtkMRMLSegmentationsDisplayableManager2D") is not None
    assert view.marks["left"] == "R"
    view.finalize()
    app.scene.Clear(1)
    app.io_manager.cache_dir.cleanup()
