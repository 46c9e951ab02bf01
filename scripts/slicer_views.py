"""3D Slicer's four views, drawn off screen by its own displayable managers (slicer-core)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture
from trame_slicer.core import SlicerApp
from trame_slicer.views import (
    NoScheduleRendering,
    SliceView,
    ThreeDView,
    ViewDirection,
    ViewProps,
)
from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

from ElasticHyperRegLib.mrml.arrays import image_array

SLICES = (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal"))
SURFACE, SURFACE_OPACITY = "Closed surface", 0.4
GAP = 2


class FourViews:
    """A scene in the layout *Four-Up*: axial and 3D above, coronal and sagittal below.

    Args:
        size: of the picture in pixels.

    Attributes:
        scene: vtkMRMLScene with the nodes of the views.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._app = SlicerApp()
        self.scene = self._app.scene
        self._slices = [self._slice(name, orientation) for name, orientation in SLICES]
        self._solid: Any = ThreeDView(
            self.scene,
            self._app.app_logic,
            "1",
            scheduled_render_strategy=NoScheduleRendering(),
        )
        self._solid.renderer().SetUseFXAA(True)
        width, height = ((length - GAP) // 2 for length in size)
        for view in self._views:
            # Mesa draws no depth-peeled surface where a pixel has several samples.
            view.render_window().SetMultiSamples(0)
            view.renderer().SetUseDepthPeeling(False)
            view.render_window().SetSize(width, height)

    @property
    def _views(self) -> list[Any]:
        axial, coronal, sagittal = self._slices
        return [axial, self._solid, coronal, sagittal]

    def _slice(self, name: str, orientation: str) -> Any:
        view = SliceView(
            self.scene, self._app.app_logic, name, scheduled_render_strategy=NoScheduleRendering()
        )
        view.set_view_properties(ViewProps(orientation=orientation))
        return view

    def show_surfaces(self, segmentation: Any) -> None:
        """What the button *Show 3D* does."""
        segmentation.CreateClosedSurfaceRepresentation()
        display = segmentation.GetDisplayNode()
        display.SetPreferredDisplayRepresentationName3D(SURFACE)
        display.SetOpacity3D(SURFACE_OPACITY)

    def fit(self) -> None:
        """All of it, from the front."""
        for view in self._views:
            view.reset_view()
        self._solid.rotate_to_view_direction(ViewDirection.ANTERIOR)

    def save(self, path: Path) -> None:
        """Draw all views into one PNG."""
        axial, solid, coronal, sagittal = (_drawn(view) for view in self._views)
        upright = np.zeros((axial.shape[0], GAP, 3), np.uint8)
        rows = [
            np.hstack([left, upright, right])
            for left, right in ((axial, solid), (coronal, sagittal))
        ]
        level = np.zeros((GAP, rows[0].shape[1], 3), np.uint8)
        Picture.fromarray(np.vstack([rows[0], level, rows[1]])).save(path)

    def close(self) -> None:
        """Let go of windows and nodes."""
        for view in self._views:
            view.finalize()
        self.scene.Clear(1)
        self._app.io_manager.cache_dir.cleanup()


def _drawn(view: Any) -> np.ndarray:
    """(J, I, 3) as it is seen, top row first."""
    view.render()
    grab = vtkWindowToImageFilter()
    grab.SetInput(view.render_window())
    grab.ReadFrontBufferOff()
    grab.Update()
    return image_array(grab.GetOutput())[0, ::-1]
