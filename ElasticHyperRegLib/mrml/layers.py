"""What the slice views show: volumes in layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .nodes import Node, Scene

_LAYERS = ("Background", "Foreground", "Label")
_PARTS = (*(f"{x}VolumeID" for x in _LAYERS), "ForegroundOpacity", "LabelOpacity", "Compositing")


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
    for view in _views(scene):
        was = view.StartModify()
        view.SetBackgroundVolumeID(_id(layers.background))
        view.SetForegroundVolumeID(_id(layers.foreground))
        view.SetForegroundOpacity(layers.foreground_opacity)
        view.SetCompositing(view.Alpha)
        view.SetLabelVolumeID(_id(layers.overlay))
        view.SetLabelOpacity(layers.overlay_opacity)
        view.EndModify(was)


@contextmanager
def layers_kept(scene: Scene) -> Iterator[None]:
    """Afterwards every slice view shows the layers that it shows now."""
    before = [(view, [getattr(view, f"Get{part}")() for part in _PARTS]) for view in _views(scene)]
    try:
        yield
    finally:
        for view, values in before:
            was = view.StartModify()
            for part, value in zip(_PARTS, values, strict=True):
                getattr(view, f"Set{part}")(value)
            view.EndModify(was)


def _views(scene: Scene) -> list[Node]:
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")
    return [scene.GetNthNodeByClass(n, "vtkMRMLSliceCompositeNode") for n in range(count)]


def _id(node: Node) -> str | None:
    gone = node is None or node.GetScene() is None
    return None if gone else str(node.GetID())
