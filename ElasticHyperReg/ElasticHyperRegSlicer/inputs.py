"""Section *Inputs*: which nodes make the pair, and how it is brought together first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import slicer.util
from slicer.i18n import tr as _

from . import totalsegmentator

ROLES = {
    "fixed": "fixedSelector",
    "moving": "movingSelector",
    "labels": "labelsSelector",
    "moving_labels": "movingLabelsSelector",
    "fixed_points": "fixedPointsSelector",
    "moving_points": "movingPointsSelector",
    "fixed_mask": "fixedMaskSelector",
    "moving_mask": "movingMaskSelector",
}
"""Role in ``PairState.nodes`` → selector in the panel."""


class InputsSection:
    """The selectors, as nodes by role and back.

    Args:
        ui: the panel's widgets.
        changed: called when the user changes something.
        say: called with a line for the status and whether it is a warning.
    """

    def __init__(
        self, ui: Any, changed: Callable[[], None], say: Callable[[str, bool], None]
    ) -> None:
        self.ui = ui
        self._changed = changed
        self._say = say
        self._showing = False
        self._chosen = self.nodes()
        for name in ROLES.values():
            getattr(ui, name).connect("currentNodeChanged(vtkMRMLNode*)", self._onNode)
        self._fillCombos()
        for combo in (ui.schemeComboBox, ui.initialComboBox, ui.similarityComboBox):
            combo.connect("currentIndexChanged(int)", self._onChanged)
        ui.swapButton.connect("clicked()", self.swap)
        ui.segmentButton.connect("clicked()", self.segment)

    def _fillCombos(self) -> None:
        from ElasticHyperRegLib.resources import scheme_names

        self.ui.schemeComboBox.addItem(_("Names of the segments"), None)
        for name in scheme_names():
            self.ui.schemeComboBox.addItem(name, name)
        for name, text in (
            ("affine", _("Affine (shift, turn, scale, shear)")),
            ("rigid", _("Rigid (shift and turn)")),
            ("translation", _("Shift only")),
            ("none", _("None: the frames already agree")),
        ):
            self.ui.initialComboBox.addItem(text, name)
        for name, text in (
            ("auto", _("Automatic")),
            ("ncc", _("Within one modality (local NCC)")),
            ("mind", _("Across modalities or contrasts (MIND-SSC)")),
        ):
            self.ui.similarityComboBox.addItem(text, name)

    def nodes(self) -> dict[str, Any]:
        """Role → chosen node; roles without one are absent."""
        chosen = {role: getattr(self.ui, name).currentNode() for role, name in ROLES.items()}
        return {role: node for role, node in chosen.items() if node is not None}

    @property
    def scheme(self) -> str | None:
        """Name of the tissue scheme."""
        return self.ui.schemeComboBox.currentData or None

    @property
    def initial(self) -> str:
        """Kind of the initial alignment."""
        return self.ui.initialComboBox.currentData

    @property
    def similarity(self) -> str:
        """What the volumes are compared by."""
        return self.ui.similarityComboBox.currentData

    def show(self, state: Any) -> None:
        """Show a ``PairState``; where it names no volumes, two different ones are proposed."""
        self._showing = True
        for role, name in ROLES.items():
            if role in state.nodes or role not in ("fixed", "moving"):
                getattr(self.ui, name).setCurrentNode(state.nodes.get(role))
        choose(self.ui.schemeComboBox, state.scheme)
        choose(self.ui.initialComboBox, state.initial)
        choose(self.ui.similarityComboBox, state.similarity)
        self._showing = False
        self.proposeVolumes()

    def proposeVolumes(self) -> None:
        """Where both selectors show the same volume, choose another one as moving."""
        fixed, moving = self.ui.fixedSelector.currentNode(), self.ui.movingSelector.currentNode()
        if fixed is None or fixed is not moving:
            return
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            if node is not fixed and node.GetClassName() == "vtkMRMLScalarVolumeNode":
                self.ui.movingSelector.setCurrentNode(node)
                return

    def swap(self) -> None:
        """Exchange fixed and moving, with all that belongs to them."""
        nodes = self.nodes()
        self._showing = True
        for one, other in (
            ("fixed", "moving"),
            ("labels", "moving_labels"),
            ("fixed_points", "moving_points"),
            ("fixed_mask", "moving_mask"),
        ):
            getattr(self.ui, ROLES[one]).setCurrentNode(nodes.get(other))
            getattr(self.ui, ROLES[other]).setCurrentNode(nodes.get(one))
        self._showing = False
        self._changed()

    def outlineTissues(self) -> None:
        """Draw segmentations as outlines: their filling hides the volumes and what lies on them."""
        nodes = self.nodes()
        for node in (nodes.get("labels"), nodes.get("moving_labels")):
            if node is not None and node.IsA("vtkMRMLSegmentationNode"):
                node.CreateDefaultDisplayNodes()
                node.GetDisplayNode().SetVisibility2DFill(False)

    def segment(self) -> None:
        """Segment both volumes with the TotalSegmentator extension."""
        reason = totalsegmentator.obstacle()
        if reason:
            slicer.util.infoDisplay(reason, windowTitle="ElasticHyperReg")
            return
        # The extension lets events through meanwhile.
        waiting = (self.ui.segmentButton, self.ui.swapButton, self.ui.pairSelector)
        for widget in waiting:
            widget.enabled = False
        try:
            nodes = self.nodes()
            for role, side in (("labels", "fixed"), ("moving_labels", "moving")):
                if side in nodes:
                    self._segmentOne(role, side, nodes[side])
        finally:
            for widget in waiting:
                widget.enabled = True

    def _segmentOne(self, role: str, side: str, volume: Any) -> None:
        """Of the volume of one side, which may be another one when it is done."""
        self._say(_("Segmenting {name}…").format(name=volume.GetName()), False)
        with slicer.util.tryWithErrorDisplay(_("Segmentation failed."), waitCursor=True):
            made = totalsegmentator.segment(volume, lambda text: self._say(text, False))
        if getattr(self.ui, ROLES[side]).currentNode() is not volume:
            made = _("{made} was made; it belongs to {name}, which is chosen no more.").format(
                made=made.GetName(), name=volume.GetName()
            )
            self._say(made, True)
            return
        # At once: should the other volume fail, this one was not for nothing.
        getattr(self.ui, ROLES[role]).setCurrentNode(made)
        choose(self.ui.schemeComboBox, totalsegmentator.SCHEME)
        self._say(_("{name} is segmented.").format(name=volume.GetName()), False)

    def _onNode(self, *_arguments: Any) -> None:
        """3D Slicer's selectors say that their node changed when it only got another name."""
        before, self._chosen = self._chosen, self.nodes()
        if self._chosen != before:
            self._onChanged()

    def _onChanged(self, *_arguments: Any) -> None:
        if not self._showing:
            self._changed()


def choose(combo: Any, data: Any) -> None:
    """Select the entry with ``data``; the first one where there is none."""
    texts = [combo.itemData(index) for index in range(combo.count)]
    combo.setCurrentIndex(texts.index(data) if data in texts else 0)
