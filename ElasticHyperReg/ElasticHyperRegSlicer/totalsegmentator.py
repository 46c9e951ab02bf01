"""Tissues from the TotalSegmentator extension, where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import slicer
from slicer.i18n import tr as _

SCHEME = "thorax-ct"
"""Its tissues are made of the classes that the extension names its segments by."""
TASK = "total"


def obstacle() -> str:
    """Why it cannot be used, and what to do; empty where it can."""
    if find_spec("TotalSegmentator") is not None:
        return ""
    return _(
        "This needs the extension “TotalSegmentator”. Install it in the Extensions Manager and "
        "restart 3D Slicer, or choose a segmentation of your own."
    )


def segment(volume: Any, log: Callable[[str], None]) -> Any:
    """Segmentation of ``volume``, its segments named as the tissue scheme expects.

    Args:
        volume: vtkMRMLScalarVolumeNode with a CT.
        log: called with what the extension reports.
    """
    from TotalSegmentator import TotalSegmentatorLogic

    from ElasticHyperRegLib.mrml.followers import own_parent

    def report(text: str) -> None:
        log(text)
        slicer.app.processEvents()

    logic = TotalSegmentatorLogic()
    logic.logCallback = report
    logic.setupPythonRequirements()
    logic.useStandardSegmentNames = False
    name = _("{volume} tissues").format(volume=volume.GetName())
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    try:
        logic.process(volume, node, fast=True, task=TASK)
    except BaseException:
        slicer.mrmlScene.RemoveNode(node)
        raise
    parent = own_parent(volume)  # the extension works in the volume's own frame
    node.SetAndObserveTransformNodeID(None if parent is None else parent.GetID())
    return node
