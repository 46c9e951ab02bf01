"""A full result as files and as nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..engine import RegistrationResult
from ..engine.record import options_record
from ..io import RESULT_FILES, OutputFolder, write_result
from ..types import Image, LabelMap
from .colors import JACOBIAN_RANGE, jacobian_color_node
from .fingerprint import fingerprint
from .geometry import placement
from .labels import fill_segmentation
from .nodes import Node, Scene, add_node, name_of
from .settings import Color
from .transforms import fill_transform
from .volumes import OUTPUT, as_stored, fill_volume

WRITTEN = "ElasticHyperReg.Written"
"""Attribute of an output node: its ``fingerprint`` as it was written."""
OUTPUTS = ("transform", "inverse", "warped", "warped_labels", "jacobian")
Sources = Mapping[str, Mapping[str, Any]]
"""Input of a request → ``source``, where it came from, and ``placement`` (4, 4) RAS mm where its
node stood elsewhere in the world than that says."""
SOURCE = "ElasticHyperReg.Source"
"""Attribute of a node that was not loaded from a file of its own."""
_IMAGES = ("fixed", "moving", "fixed_labels", "moving_labels", "fixed_mask", "moving_mask")


def export_result(
    result: RegistrationResult, folder: str | Path, overwrite: bool, sources: Sources
) -> dict[str, Any]:
    """Write the files of ``register``; they appear all at once.

    Args:
        result: the full result.
        folder: new or empty, unless ``overwrite``.
        overwrite: replace the files of an earlier run.
        sources: input of the request → where it came from, for ``request.json``.

    Returns:
        The content of ``metrics.json``.

    Raises:
        InputError: the folder is not empty or cannot be written.
    """
    with OutputFolder(folder, RESULT_FILES, overwrite) as place:
        return write_result(result, place, request_record(result, sources))


def request_record(result: RegistrationResult, sources: Sources) -> dict[str, Any]:
    """``request.json`` of a pair that came from a scene, whose files need not exist.

    Voxels are identified by their SHA-256 as float32 (images) or int32 (labels) in C order.
    """
    request = result.request
    inputs: dict[str, Any] = {}
    for name in _IMAGES:
        given = getattr(request, name)
        if given is not None:
            inputs[name] = {"source": given.name, **sources.get(name, {}), **_identity(given)}
    for name in ("fixed_points", "moving_points"):
        points = getattr(request, name)
        if points is not None:
            told = {"source": name, **sources.get(name, {})}
            inputs[name] = {**told, "ras_mm": np.asarray(points).tolist()}
    return {
        "version": __version__,
        "inputs": inputs,
        "options": options_record(request.options),
    }


class OutputNodes:
    """The nodes of a full result; a second result of the pair goes into the same ones.

    But not into those that the user has renamed or changed meanwhile: these stay.

    Args:
        scene: vtkMRMLScene.
        anchor: the live transform node; remembers the nodes.
        kept: nodes that are not written, whatever they hold: the pair's own inputs.
    """

    def __init__(self, scene: Scene, anchor: Node, kept: Iterable[Node] = ()) -> None:
        self.scene, self.anchor, self._kept = scene, anchor, tuple(kept)

    def write(self, result: RegistrationResult, colors: dict[str, Color]) -> dict[str, Node]:
        """Fill the nodes; what was not asked for (``warped_labels``) has none.

        Args:
            result: the full result.
            colors: of the tissues.

        Returns:
            Some of ``OUTPUTS`` → node.
        """
        name = result.request.moving.name
        transform = self._node("GridTransform", "transform", f"{name} transform")
        fill_transform(transform, result.displacement)
        inverse = self._node("GridTransform", "inverse", f"{name} inverse")
        fill_transform(inverse, result.inverse)
        warped = self._node("ScalarVolume", "warped", f"{name} warped")
        _fill(warped, result.warped)
        jacobian = self._node("ScalarVolume", "jacobian", f"{name} Jacobian")
        fresh = jacobian.GetDisplayNode() is None
        _fill(jacobian, Image(result.jacobian, result.displacement.grid, "jacobian"))
        if fresh:
            self._color(jacobian)
        nodes = {"transform": transform, "inverse": inverse, "warped": warped}
        nodes["jacobian"] = jacobian
        if result.warped_labels is not None:
            labels = self._node("Segmentation", "warped_labels", f"{name} warped labels")
            labels.CreateDefaultDisplayNodes()
            fill_segmentation(labels, result.warped_labels, colors)
            nodes["warped_labels"] = labels
        for node in nodes.values():
            node.SetAttribute(WRITTEN, fingerprint(node))
        return nodes

    def _node(self, kind: str, output: str, name: str) -> Node:
        role = f"{OUTPUT}.{output}"
        node = self.anchor.GetNodeReference(role)
        ours = node is not None and node.GetAttribute(WRITTEN) == fingerprint(node)
        if not ours or any(node is other for other in self._kept):
            node = add_node(self.scene, kind, name, OUTPUT)
            self.anchor.SetNodeReferenceID(role, node.GetID())
        # What is written stands in the fixed volume's frame, whatever the node was put under.
        node.SetAndObserveTransformNodeID(None)
        return node

    def _color(self, jacobian: Node) -> None:
        display = jacobian.GetDisplayNode()
        display.SetAndObserveColorNodeID(jacobian_color_node(self.scene).GetID())
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(*JACOBIAN_RANGE)


def sources_of(nodes: dict[str, Node]) -> Sources:
    """Where the inputs of the request came from, of nodes by their role in the pair."""
    own = {"labels": "fixed_labels"}
    return {own.get(role, role): _origin(node) for role, node in nodes.items()}


def _origin(node: Node) -> dict[str, Any]:
    place = placement(node)
    moved = {} if np.array_equal(place, np.eye(4)) else {"placement": place.tolist()}
    return {"source": source_of(node), **moved}


def source_of(node: Node) -> str:
    """The file of a node where it has one, else what a shell says it came from, else its name."""
    storage = node.GetStorageNode() if node.IsA("vtkMRMLStorableNode") else None
    file = storage.GetFullNameFromFileName() if storage is not None else ""
    return str(file or node.GetAttribute(SOURCE) or name_of(node))


def _fill(node: Node, image: Image) -> None:
    values = image.data.detach().cpu().numpy()[0, 0]
    fill_volume(node, as_stored(values, np.dtype(image.dtype)), image.grid)


def _identity(given: Image | LabelMap) -> dict[str, Any]:
    """What tells voxels apart from others: their values and where they stand."""
    values: torch.Tensor = given.data.detach().cpu().contiguous()
    return {
        "sha256": hashlib.sha256(values.numpy().tobytes()).hexdigest(),
        "shape": list(given.grid.shape),
        "ijk_to_ras": given.grid.ijk_to_ras.tolist(),
    }
