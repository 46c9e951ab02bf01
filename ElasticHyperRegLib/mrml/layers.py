"""What the slice views show: volumes in layers."""

from __future__ import annotations

from dataclasses import dataclass

from .nodes import Node, Scene


@dataclass(frozen=True, eq=False)
class Layers:
    """Nodes by layer; ``None`` leaves a layer empty."""

    background: Node
    foreground: Node
    foreground_opacity: float
    overlay: Node = None
    overlay_opacity: float = 0.0


def show_layers(scene: Scene, layers: Layers) -> None:
    """Show the same in every slice view of the scene."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        view = scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        was = view.StartModify()
        view.SetBackgroundVolumeID(_id(layers.background))
        view.SetForegroundVolumeID(_id(layers.foreground))
        view.SetForegroundOpacity(layers.foreground_opacity)
        view.SetCompositing(view.Alpha)
        view.SetLabelVolumeID(_id(layers.overlay))
        view.SetLabelOpacity(layers.overlay_opacity)
        view.EndModify(was)


def _id(node: Node) -> str | None:
    gone = node is None or node.GetScene() is None
    return None if gone else str(node.GetID())
