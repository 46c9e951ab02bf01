"""The nodes that show one pair."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch

from ..engine.air import tissue_share
from ..errors import InputError
from ..estimation import Sensitivity
from ..field import jacobian_determinant
from ..types import Displacement, Grid
from .checkerboard import Checkerboard
from .colors import inverted_grey_node
from .followers import carried_by, follow, release
from .geometry import LIVE
from .glyph_style import GlyphStyle
from .glyphs import Glyphs
from .grey import SharedWindow, Window, grey_window, set_grey_window, value_range
from .layers import Layers, show_layers
from .nodes import ROLE, Node, Scene, add_node, in_scene, name_of, role_of
from .overlay import JACOBIAN, SPREAD_STYLES, Overlay, OverlayStyle
from .pair_state import DisplayState
from .spreads import OFF, SPREADS
from .transforms import GridField
from .volumes import image_from_node

MODES = ("fixed", "warped", "blend", "checkerboard", "difference", "flicker")
BOTH = MODES[2:]
"""Modes that show both volumes, which must be in one window."""
INVERTED = "inverted"
FORMER_COLORS = "ElasticHyperReg.formerColors"
GREY = "vtkMRMLColorTableNodeGrey"


class RegistrationDisplay:
    """The nodes that show one pair, made once; updates change them in place.

    The moving volume is shown under one grid transform node, so that only what is seen is
    resampled. Nothing of the user's is hardened or copied; ``close`` puts it back where it stood.

    Args:
        scene: vtkMRMLScene.
        fixed_node: scalar volume.
        moving_node: scalar volume; may stand under a linear transform, which is kept.
        grid: of the displacements to come.
        transform_node: of an earlier session of the same pair, to be used again.
        initial: (4, 4) RAS mm, the initial alignment that is part of them; glyphs leave it out.

    Attributes:
        transform_node: vtkMRMLGridTransformNode, fixed → moving (from parent).
        mode: what ``show`` was told last.

    Raises:
        InputError: the moving volume stands under a transform that is not linear.
    """

    def __init__(
        self,
        scene: Scene,
        fixed_node: Node,
        moving_node: Node,
        grid: Grid,
        transform_node: Node = None,
        initial: np.ndarray | None = None,
    ) -> None:
        self.scene, self.fixed_node, self.moving_node = scene, fixed_node, moving_node
        self.grid = grid
        self._initial = np.eye(4) if initial is None else initial
        self.transform_node = transform_node or add_node(
            scene, "GridTransform", f"{name_of(fixed_node)} to {name_of(moving_node)}", LIVE
        )
        self._field = GridField(grid)
        self.transform_node.SetAndObserveTransformFromParent(self._field.transform)
        self._jacobian = self._new_overlay(JACOBIAN)
        self._spreads: dict[str, Overlay] = {}
        self._board: Checkerboard | None = None
        self._shown: Displacement | None = None
        self._followers: list[Node] = []
        self._windows = SharedWindow((fixed_node, moving_node))
        self._glyphs = self._new_glyphs()
        self.mode = "warped"
        self._blend, self._opacity, self._flicked = 0.5, 0.8, False
        self._overlay: Overlay | None = None
        self.follow(moving_node)

    @property
    def jacobian_node(self) -> Node:
        """Scalar volume with det(I + ∇u) on ``grid``."""
        return self._jacobian.node

    @property
    def spread_nodes(self) -> dict[str, Node]:
        """Scalar volumes by the names of ``SPREADS``; none before a sensitivity was set."""
        return {name: overlay.node for name, overlay in self._spreads.items()}

    @property
    def glyph_node(self) -> Node:
        """Hidden transform node that draws arrows, cones or a grid."""
        return self._glyphs.node

    @property
    def glyphs(self) -> GlyphStyle:
        """What ``set_glyphs`` was told last."""
        return self._glyphs.style

    @property
    def nodes(self) -> list[Node]:
        """The nodes that updates write to."""
        overlays = self._jacobian, *self._spreads.values()
        painted = [node for overlay in overlays for node in overlay.nodes]
        others = [item.node for item in (self._board, self._glyphs) if item is not None]
        return [self.transform_node, *painted, *others]

    @property
    def grey_window(self) -> Window:
        """Values of the fixed volume that are shown black and white."""
        return grey_window(self.fixed_node)

    @property
    def values(self) -> Window:
        """Lowest and highest value of both volumes."""
        return value_range((self.fixed_node, self.moving_node))

    @property
    def anchored(self) -> bool:
        """Whether the transform node, on which all rests, still stands in the scene."""
        return in_scene(self.scene, self.transform_node)

    @property
    def state(self) -> DisplayState:
        """What is shown, to be saved."""
        style = self.glyphs
        return DisplayState(
            mode=self.mode,
            blend=self._blend,
            jacobian=self._overlay is self._jacobian,
            overlay_opacity=self._opacity,
            glyphs=style.style,
            glyph_density_mm=style.density_mm,
            glyph_scale=style.scale,
        )

    def restore(self, state: DisplayState) -> None:
        """Show what was saved."""
        self._blend, self._opacity = state.blend, state.overlay_opacity
        self.set_glyphs(GlyphStyle(state.glyphs, state.glyph_density_mm, state.glyph_scale))
        self.show(state.mode)
        self.set_jacobian(state.jacobian, state.overlay_opacity)

    def mend(self) -> bool:
        """Replace overlays that were deleted from the scene; whether there were any."""
        lost = [node for node in self.nodes[1:] if not in_scene(self.scene, node)]
        if not lost:
            return False
        state, shown = self.state, self._shown
        self._jacobian = self._new_overlay(JACOBIAN)
        self._glyphs = self._new_glyphs()
        self._spreads, self._board, self._overlay = {}, None, None
        self.restore(replace(state, jacobian=False))
        if shown is not None:
            self.update(shown, jacobian_determinant(shown.u_mm, shown.grid))
        self.set_jacobian(state.jacobian, state.overlay_opacity)
        return True

    def update(self, displacement: Displacement, jacobian: torch.Tensor) -> None:
        """Show a result: the whole map on ``grid`` and its (1, 1, *grid.shape) Jacobian."""
        self._shown = displacement
        self._field.write(displacement.u_mm)
        self._jacobian.write(jacobian)
        self._glyphs.write(displacement.u_mm)
        if self._board is not None and self.mode == "checkerboard":
            self._board.write(displacement)

    def follow(self, node: Node) -> None:
        """Carry another node of the moving side along (segmentation, markups, model).

        Raises:
            InputError: it stands under a transform that is not linear.
        """
        follow(self.scene, node, self.transform_node)
        if node not in self._followers:
            self._followers.append(node)

    def strayed(self) -> list[Node]:
        """Nodes that somebody has taken out of the live transform; each is told once."""
        kept = [node for node in self._followers if carried_by(node, self.transform_node)]
        lost = [n for n in self._followers if n not in kept and in_scene(self.scene, n)]
        self._followers = kept
        return lost

    def show(self, mode: str) -> None:
        """``fixed``, ``warped``, ``blend``, ``checkerboard``, ``difference`` or ``flicker``.

        Raises:
            InputError: another mode.
        """
        if mode not in MODES:
            raise InputError(f"the display mode '{mode}'", f"one of {', '.join(MODES)}")
        self.mode, self._flicked = mode, False
        if mode in BOTH:
            self._windows.match()
        self._invert(mode == "difference")
        if mode == "checkerboard":
            self._ready_board()
        self._layers()

    def flick(self) -> None:
        """In ``flicker``: the other of fixed and warped; call it twice a second."""
        if self.mode == "flicker":
            self._flicked = not self._flicked
            self._layers()

    def set_blend(self, fraction: float) -> None:
        """How much of the warped volume ``blend`` shows, 0 to 1."""
        self._blend = min(1.0, max(0.0, fraction))
        self._layers()

    def set_grey_window(self, window: Window | None) -> None:
        """Show these values of both volumes from black to white; ``None``: as suits each."""
        for node in (self.fixed_node, self.moving_node):
            set_grey_window(node, window)
        self._windows.note()
        if self.mode == "checkerboard":
            self._ready_board()

    def set_jacobian(self, visible: bool, opacity: float = 0.8) -> None:
        """Overlay of the volume change in the slice views, with its legend."""
        self._overlay_is(self._jacobian, visible, opacity)

    def set_glyphs(self, style: GlyphStyle) -> None:
        """Arrows, cones or a bent grid of the elastic part, fixed to moving, in 2D and 3D."""
        self._glyphs.draw(style)

    def set_sensitivity(
        self, found: Sensitivity | None, spread: str = "displacement", opacity: float = 0.8
    ) -> None:
        """Overlay of how far the deformation spreads with the settings, in place of another one.

        Args:
            found: ``None`` keeps what was set before.
            spread: one of ``SPREADS``: of the displacement in mm, of the volume change; or ``off``.
            opacity: of the overlay.

        Raises:
            InputError: another spread.
        """
        if spread not in (*SPREADS, OFF):
            raise InputError(f"the spread '{spread}'", f"one of {', '.join((*SPREADS, OFF))}")
        if found is not None:
            self._write_spreads(found)
        if spread in self._spreads:
            self._overlay_is(self._spreads[spread], True, opacity)
        elif self._overlay is not None and self._overlay is not self._jacobian:
            self._overlay_is(self._overlay, False, opacity)

    def close(self) -> None:
        """Put followers back under their former transforms; the nodes stay in the scene, hidden."""
        if in_scene(self.scene, self.moving_node):
            self._invert(False)
        if in_scene(self.scene, self._glyphs.node):
            self._glyphs.hide()
        if self._overlay is not None and in_scene(self.scene, self._overlay.painted):
            self._overlay_is(self._overlay, False, self._opacity)
        for node in self._followers:
            if in_scene(self.scene, node) and carried_by(node, self.transform_node):
                release(self.scene, node)
        self._followers.clear()

    @cached_property
    def _share(self) -> torch.Tensor:
        """Found when overlay or arrows are first shown: a pair that opens has no time for it."""
        return tissue_share(image_from_node(self.fixed_node), self.grid)

    def _new_overlay(self, style: OverlayStyle) -> Overlay:
        """Clear over air, where a field has nothing to go by."""
        return Overlay(self.scene, self.transform_node, self.grid, style, lambda: self._share)

    def _new_glyphs(self) -> Glyphs:
        live, region = self.transform_node, self.fixed_node
        return Glyphs(self.scene, live, region, self.grid, self._initial, lambda: self._share)

    def _write_spreads(self, found: Sensitivity) -> None:
        if not self._spreads:
            self._spreads = {name: self._new_overlay(s) for name, s in SPREAD_STYLES.items()}
        for name, overlay in self._spreads.items():
            overlay.write(SPREADS[name].values(found))
            overlay.set_range(0.0, SPREADS[name].most(found))

    def _overlay_is(self, overlay: Overlay, visible: bool, opacity: float) -> None:
        if visible:
            if self._overlay is not None and self._overlay is not overlay:
                self._overlay.show(False)
            self._overlay, self._opacity = overlay, min(1.0, max(0.0, opacity))
        elif self._overlay is overlay:
            self._overlay = None
        self._layers()
        overlay.show(visible)  # after the layers: the views look for a legend only now

    def _layers(self) -> None:
        opacity = {
            "fixed": 0.0,
            "blend": self._blend,
            "difference": 0.5,
            "flicker": float(self._flicked),
        }.get(self.mode, 1.0)
        board = self._board if self.mode == "checkerboard" else None
        overlay = self._overlay
        show_layers(
            self.scene,
            Layers(
                self.fixed_node,
                self.moving_node if board is None else board.node,
                opacity,
                None if overlay is None else overlay.painted,
                self._opacity,
            ),
        )

    def _ready_board(self) -> None:
        if self._board is None:
            pair = self.fixed_node, self.moving_node
            self._board = Checkerboard(self.scene, self.transform_node, *pair)
        if self._shown is not None:
            self._board.write(self._shown)

    def _invert(self, inverted: bool) -> None:
        """Half of the inverted moving image over the fixed one is grey where they agree."""
        display = self.moving_node.GetDisplayNode()
        if display is None:
            return
        is_inverted = role_of(display.GetColorNode()) == INVERTED
        if inverted and not is_inverted:
            if display.GetColorNode() is not None:
                display.SetNodeReferenceID(FORMER_COLORS, display.GetColorNodeID())
            display.SetAndObserveColorNodeID(self._inverted_grey().GetID())
        elif is_inverted and not inverted:
            former = display.GetNodeReference(FORMER_COLORS)
            display.SetAndObserveColorNodeID(GREY if former is None else former.GetID())
            display.RemoveNodeReferenceIDs(FORMER_COLORS)

    def _inverted_grey(self) -> Node:
        node = self.transform_node.GetNodeReference(INVERTED)
        if node is None:
            node = inverted_grey_node(self.scene)
            node.SetAttribute(ROLE, INVERTED)
            self.transform_node.SetNodeReferenceID(INVERTED, node.GetID())
        return node
