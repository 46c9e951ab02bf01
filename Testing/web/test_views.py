"""Slices are drawn one after the other, each once for however many changes; 3D when it changed."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trame_slicer", reason="the extra app is not installed")

from vtkmodules.vtkRenderingCore import vtkActor, vtkRenderer

from web.views import Turns, looks


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
