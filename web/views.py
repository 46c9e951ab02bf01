"""When each view is drawn: slices one after the other, 3D once they are."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Any

import numpy as np
from slicer import vtkMRMLColorLegendDisplayableManager
from trame_server.utils.asynchronous import create_task
from trame_slicer.views import AbstractView, SliceView, ThreeDView

from ElasticHyperRegLib.mrml.geometry import matrix_to_numpy

SEND_SECONDS = 0.002
"""For a picture to be packed and sent on its way."""
SOLIDS_WAIT_SECONDS, SOLIDS_MOST_SECONDS = 0.4, 2.0
"""Since the last change, and since the first that was not drawn."""
MOUSE_SECONDS = 1.0
EDGES = ("left", "right", "top", "bottom")
WAYS = "LPI", "RAS"
OBLIQUE = 0.35
"""Cosine from which a direction is told: 20 degrees off an axis there are two."""
RULER_PART = 0.3
"""Of a view's width, at most."""
Looks = tuple[tuple[int, int], tuple[tuple[Any, int], ...]]
LOG = logging.getLogger(__name__)


class Turns:
    """Lets views draw one after the other.

    Drawn in one go, the first picture would be sent after the last was drawn; so the browser shows
    one while the next is made, and a slider that moved meanwhile is heard in between.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, Callable[[], None]] = {}
        self.busy = False
        """Whether views wait or are being drawn."""

    def ask(self, view: Hashable, draw: Callable[[], None]) -> None:
        """Have ``draw`` called when it is the turn of ``view``; once, however often asked."""
        self._waiting.setdefault(view, draw)
        if not self.busy:
            self.busy = True
            create_task(self._serve())

    async def _serve(self) -> None:
        while self._waiting:
            draw = self._waiting.pop(next(iter(self._waiting)))
            try:
                draw()
            except Exception:
                LOG.exception("a view could not be drawn")
            # It is drawn in the event loop's next round, unless its rate makes it wait longer.
            for _ in range(2):
                await asyncio.sleep(0)
            await asyncio.sleep(SEND_SECONDS)
        self.busy = False


class Placed:
    """A view that is not drawn before the browser has told how large it is there.

    While a page is being built it would be drawn over and over, at another size, for nobody.
    """

    _placed = False

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        draw_plainly(self)  # at once: trame draws every window that it gets
        self.interactor().AddObserver("WindowResizeEvent", self._place)  # type: ignore[attr-defined]

    def schedule_render(self, *_: Any) -> None:
        """As trame-slicer's."""
        if self._placed:
            super().schedule_render()  # type: ignore[misc]

    def _place(self, *_: Any) -> None:
        self._placed = True


class FlatView(Placed, SliceView):  # type: ignore[misc]  # trame-slicer tells no types
    """A slice, drawn in its turn; legends of colours stand in the page.

    Args:
        turns: shared by the slices of a page.
        given: of trame-slicer's own.
    """

    def __init__(self, turns: Turns, **given: Any) -> None:
        self._turns = turns
        super().__init__(**given)

    def _initialize_displayable_manager_group(
        self, factory: Any, app_logic: Any, managers: list[type]
    ) -> None:
        kinds = [kind for kind in managers if kind is not vtkMRMLColorLegendDisplayableManager]
        super()._initialize_displayable_manager_group(factory, app_logic, kinds)

    @property
    def marks(self) -> dict[str, str]:
        """See ``slice_marks``."""
        node = self.get_view_node()
        return slice_marks(matrix_to_numpy(node.GetSliceToRAS()), node.GetFieldOfView()[0])

    def schedule_render(self, *_: Any) -> None:
        """As trame-slicer's, in turn."""
        self._turns.ask(self, super().schedule_render)


class SolidView(Placed, ThreeDView):  # type: ignore[misc]  # trame-slicer tells no types
    """Drawn once the slices are, whose turn a change is first; at once under the mouse.

    Every new field asks for a drawing, though surfaces and camera stay as they were unless arrows
    are shown: what would look the same is not drawn, for meanwhile no slice could be.
    """

    _touched = 0.0
    _drawn: Looks | None = None
    _due = _latest = 0.0
    _waits = False

    def watch_mouse(self) -> None:
        """Note from now on when the mouse is in the view."""
        for event in ("MouseMoveEvent", "MouseWheelForwardEvent", "MouseWheelBackwardEvent"):
            self.interactor().AddObserver(event, self._touch)

    def schedule_render(self, *_: Any) -> None:
        """As trame-slicer's, later."""
        now = monotonic()
        if now - self._touched < MOUSE_SECONDS:
            super().schedule_render()
            return
        self._due = now + SOLIDS_WAIT_SECONDS
        if not self._waits:
            self._waits, self._latest = True, now + SOLIDS_MOST_SECONDS
            create_task(self._render_later())

    async def _render_later(self) -> None:
        while (left := min(self._due, self._latest) - monotonic()) > 0:
            await asyncio.sleep(left)
        self._waits = False
        now = looks(self)
        if now != self._drawn:
            self._drawn = now
            super().schedule_render()

    def _touch(self, *_: Any) -> None:
        self._touched = monotonic()


def draw_plainly(view: AbstractView) -> None:
    """One sample a pixel and one pass: without a GPU anything more takes several times as long.

    With several samples Mesa's software renderer draws no depth-peeled surface at all.
    """
    view.render_window().SetMultiSamples(0)
    view.renderer().SetUseDepthPeeling(False)
    view.renderer().SetUseFXAA(isinstance(view, ThreeDView))


def slice_marks(slice_to_ras: np.ndarray, width_mm: float) -> dict[str, str]:
    """What a slice says of itself.

    Args:
        slice_to_ras: (4, 4) RAS mm: to the right, upwards, out of the slice, its middle.
        width_mm: of the view.

    Returns:
        ``EDGES`` → letters of what lies there (two where the slice is oblique), ``position`` of
        the slice, ``ruler`` as text, and ``ruler_part`` of the view's width.
    """
    right, up, out, middle = slice_to_ras[:3].T
    sides = dict(zip(EDGES, (-right, right, up, -up), strict=True))
    axis = int(np.abs(out).argmax())
    offset_mm = round(float(middle @ out * np.sign(out[axis])), 1)
    length_mm = _round_length(RULER_PART * width_mm)
    return {
        **{edge: _letters(side) for edge, side in sides.items()},
        "position": f"{WAYS[offset_mm >= 0][axis]} {abs(offset_mm):.1f} mm",
        "ruler": f"{length_mm:g} mm",
        "ruler_part": f"{100 * length_mm / max(width_mm, 1e-6):.2f}%",
    }


def _letters(direction: np.ndarray) -> str:
    """R or L, A or P, S or I: as many as tell where a direction leads, the nearest first."""
    parts = sorted(enumerate(direction.tolist()), key=lambda part: -abs(part[1]))
    return "".join(WAYS[part > 0][axis] for axis, part in parts if abs(part) > OBLIQUE)


def _round_length(most_mm: float) -> float:
    """The longest of 1, 2, 5, 10, 20, 50 … mm (and parts of these) within ``most_mm``."""
    power = 10.0 ** math.floor(math.log10(max(most_mm, 1e-6)))
    return max(step * power for step in (1, 2, 5) if step * power <= max(most_mm, power))


def looks(view: ThreeDView) -> Looks:
    """What a picture of a view depends on: its size, and what is visible, each as of when."""
    parts: list[tuple[Any, int]] = []
    for renderer in view.renderers():
        seen = [prop for prop in renderer.GetViewProps() if prop.GetVisibility()]
        parts += [(prop, prop.GetRedrawMTime()) for prop in seen]
        camera = renderer.GetActiveCamera() if renderer.IsActiveCameraCreated() else None
        parts += [(camera, camera.GetMTime() if camera else 0), (renderer, renderer.GetMTime())]
    return view.render_window().GetSize(), tuple(parts)
