"""The scene and its views: three slices and 3D, drawn here and shown in the browser."""

from __future__ import annotations

from functools import partial
from typing import Any

from trame_server import Server
from trame_slicer.app.ui import (
    create_vertical_slice_view_gutter_ui,
    create_vertical_view_gutter_ui,
)
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import RemoteViewFactory
from trame_slicer.views import (
    Layout,
    LayoutDirection,
    ViewLayoutDefinition,
    ViewType,
)

from ElasticHyperRegLib.mrml.nodes import role_of

from .ui import marks
from .views import FlatView, SolidView, Turns

SLICES_PER_SECOND = 30.0
SOLIDS_PER_SECOND = 2.0
"""3D, while the mouse is elsewhere: it takes longest to draw, and must not hold up the slices."""
JPEG_QUALITY = 90  # trame's own quality at rest: equal, so nothing is drawn twice
SURFACE = "Closed surface"
SURFACE_OPACITY = 0.4
OUTLINE_OPACITY, OUTLINE_PIXELS = 0.9, 2
BACKGROUNDS = {"dark": ("#1b1d20", "#34373c"), "light": ("#f4f5f7", "#cfd5dc")}


class Views:
    """A MRML scene with its application logic, and the views that show it.

    Args:
        server: the trame server that the views send their pictures through.

    Attributes:
        app: trame-slicer's application: scene, logics, views.
        layout: puts the views into the page.
    """

    def __init__(self, server: Server) -> None:
        self.app = SlicerApp()
        self._turns = Turns()
        for kind, view_type, gutter, rate in (
            (
                partial(FlatView, self._turns),
                ViewType.SLICE_VIEW,
                _slice_ui,
                SLICES_PER_SECOND,
            ),
            (SolidView, ViewType.THREE_D_VIEW, create_vertical_view_gutter_ui, SOLIDS_PER_SECOND),
        ):
            factory = RemoteViewFactory(
                server,
                kind,
                view_type,
                populate_view_ui_f=gutter,
                target_fps=SLICES_PER_SECOND,
                blur_fps=rate,
                interactive_quality=JPEG_QUALITY,
            )
            self.app.view_manager.register_factory(factory)
        self.layout = LayoutManager(self.app.scene, self.app.view_manager, server)
        self.layout.register_layout("all", _all_views())
        self.layout.set_layout("all")
        for view in self.solid:
            view.watch_mouse()
        for view in self.slices:  # trame-slicer draws anew for its own calls only
            view.modified.connect(FlatView.schedule_render)

    @property
    def scene(self) -> Any:
        """The vtkMRMLScene."""
        return self.app.scene

    def draws(self) -> bool:
        """Whether slices wait to be drawn."""
        return self._turns.busy

    @property
    def slices(self) -> list[FlatView]:
        """Axial, coronal, sagittal."""
        return self.app.view_manager.get_slice_views()

    @property
    def solid(self) -> list[SolidView]:
        """The 3D view."""
        return self.app.view_manager.get_threed_views()

    @property
    def nodes(self) -> list[Any]:
        """The nodes of the pair; clearing the scene would take those of the views with it."""
        nodes = self.scene.GetNodes()
        there = [nodes.GetItemAsObject(i) for i in range(nodes.GetNumberOfItems())]
        return [node for node in there if role_of(node)]

    def remove(self, nodes: list[Any]) -> None:
        """Take nodes out of the scene."""
        for node in nodes:
            self.scene.RemoveNode(node)

    def show(self, fixed: Any, tissues: Any) -> None:
        """Show a pair that has just been opened: the fixed volume, and its tissues in 3D."""
        self.app.display_manager.show_volume_in_slice_background(fixed)
        if tissues is not None:
            tissues.CreateClosedSurfaceRepresentation()
            display = tissues.GetDisplayNode()
            display.SetPreferredDisplayRepresentationName3D(SURFACE)
            # Cut surfaces stay as they are; outlines of voxels would be traced at every answer.
            display.SetPreferredDisplayRepresentationName2D(SURFACE)
            display.SetOpacity3D(SURFACE_OPACITY)
            display.SetVisibility2DFill(False)
            display.SetOpacity2DOutline(OUTLINE_OPACITY)
            display.SetSliceIntersectionThickness(OUTLINE_PIXELS)
        for view in self.slices:
            view.set_visible_in_3d(tissues is None)
        self.app.display_manager.reset_views()

    def step(self, number: int, steps: int) -> None:
        """Move slice view ``number`` by whole slices."""
        if number < len(self.slices):
            view = self.slices[number]
            low, high = view.get_slice_range()
            view.set_slice_value(
                min(high, max(low, view.get_slice_value() + steps * view.get_slice_step()))
            )

    def set_theme(self, theme: str) -> None:
        """Background of the 3D view; slices stay black, as radiologists expect."""
        look = ViewLayoutDefinition.threed_view(background_color=BACKGROUNDS[theme])
        for view in self.solid:
            view.set_view_properties(look.properties)
            view.schedule_render()


def _slice_ui(server: Server, view_id: str, view: FlatView) -> None:
    """What the browser draws over a slice."""
    create_vertical_slice_view_gutter_ui(server, view_id, view)
    marks.build(server, view_id, view)


def _all_views() -> Layout:
    """Axial and 3D above, coronal and sagittal below."""
    rows = [
        [ViewLayoutDefinition.axial_view(), ViewLayoutDefinition.threed_view()],
        [ViewLayoutDefinition.coronal_view(), ViewLayoutDefinition.sagittal_view()],
    ]
    return Layout(
        LayoutDirection.Vertical, [Layout(LayoutDirection.Horizontal, row) for row in rows]
    )
