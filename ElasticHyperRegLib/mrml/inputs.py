"""What a pair's nodes hold, read at once on the thread that owns the scene."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from ..engine.request import DEFAULT_ELASTICITY
from ..errors import InputError
from ..tissues import TissueScheme, load_scheme
from ..types import Image, LabelMap
from .followers import own_parent
from .geometry import kept_matrix, matrix_to_numpy, placement
from .labels import BACKGROUND, UNNAMED_COLOR, as_tissues, labels_from_node, tissue_colors
from .nodes import Node, name_of
from .options import ControllerOptions
from .points import matched_points, points_from_node
from .settings import EVERYWHERE, TissueStart
from .volumes import image_from_node


@dataclass(frozen=True, eq=False)
class PairInputs:
    """Copies of everything the session and the measures need; no node among them."""

    fixed: Image
    moving: Image
    labels: LabelMap | None
    moving_labels: LabelMap | None
    fixed_mask: LabelMap | None
    moving_mask: LabelMap | None
    fixed_points: np.ndarray | None
    moving_points: np.ndarray | None
    starts: tuple[TissueStart, ...]
    notes: tuple[str, ...] = ()
    """What the user should know of them, one line each."""


def read_inputs(nodes: dict[str, Node], options: ControllerOptions) -> PairInputs:
    """Read the nodes of a pair, by role as in ``PairState.nodes``.

    Raises:
        InputError: one node stands on both sides; a node holds nothing that can be used.
    """
    _refuse_twins(nodes)
    fixed, moving = image_from_node(nodes["fixed"]), image_from_node(nodes["moving"])
    notes = [line for line in (_moved(nodes[side]) for side in ("fixed", "moving")) if line]
    scheme = None if options.scheme is None else load_scheme(options.scheme)

    def labels(role: str, image: Image, like: LabelMap | None = None) -> LabelMap | None:
        node = nodes.get(role)
        if node is None:
            return None
        drawn = labels_from_node(node, image)
        if scheme is not None and (told := scheme.left_over(drawn)):
            notes.append(f"{name_of(node)}: {told}")
        return as_tissues(drawn, scheme, like)

    def mask(role: str, image: Image) -> LabelMap | None:
        node = nodes.get(role)
        return None if node is None else labels_from_node(node, image)

    tissues = labels("labels", fixed)
    moving_tissues = labels("moving_labels", moving, tissues)
    if tissues is not None and moving_tissues is not None:
        _check_comparable(nodes, tissues, moving_tissues)
    points: tuple[Any, Any] = (None, None)
    if nodes.get("fixed_points") is not None and nodes.get("moving_points") is not None:
        points = matched_points(nodes["fixed_points"], nodes["moving_points"])
    return PairInputs(
        fixed,
        moving,
        tissues,
        moving_tissues,
        mask("fixed_mask", fixed),
        mask("moving_mask", moving),
        *points,
        _starts(tissues, nodes.get("labels"), scheme),
        tuple(dict.fromkeys(notes)),
    )


TWINS = (
    ("fixed", "moving", "volume", "volumes"),
    ("labels", "moving_labels", "tissues", "segmentations"),
    ("fixed_points", "moving_points", "landmarks", "lists"),
)
"""Roles that one node cannot have together, and what they are."""


def _refuse_twins(nodes: dict[str, Node]) -> None:
    """One node on both sides: whatever is measured between them would mean nothing."""
    for one, other, what, several in TWINS:
        node = nodes.get(one)
        if node is not None and node is nodes.get(other):
            raise InputError(
                f"{name_of(node)} as fixed and as moving {what}", f"two {several}", "choose two"
            )


def _moved(volume: Node) -> str:
    """That a volume stands elsewhere than its file says, if it does."""
    if np.array_equal(placement(volume), np.eye(4)):
        return ""
    return (
        f"{name_of(volume)} stands under {name_of(own_parent(volume))}: results are between places "
        "in the world; harden that transform first to use them with the volume's own file"
    )


def _check_comparable(nodes: dict[str, Node], fixed: LabelMap, moving: LabelMap) -> None:
    """Refuse tissues of both sides that would be paired by accident.

    Segments are numbered by their place in the list, which says nothing to a label map without
    names.
    """
    sides = ((nodes["labels"], fixed), (nodes["moving_labels"], moving))
    segmented = {node.IsA("vtkMRMLSegmentationNode") for node, _ in sides}
    nameless = [name_of(node) for node, labels in sides if not labels.names]
    if len(segmented) == 2 and nameless:
        raise InputError(
            f"{nameless[0]}, a label map without names, beside a segmentation",
            "tissues that both sides name",
            "choose a tissue scheme, or two nodes of one kind",
        )


FIXED_SIDE = frozenset({"fixed", "labels", "fixed_mask", "fixed_points"})
"""Roles of nodes that stay where they are."""
ONE_FOR_ALL = TissueStart(EVERYWHERE, UNNAMED_COLOR, DEFAULT_ELASTICITY)
"""The only row of what takes one setting for everywhere."""


def signature(node: Node) -> tuple[Any, ...]:
    """Changes when what ``read_inputs`` would read of ``node`` changes."""
    parent = own_parent(node)  # whose move does not reach a node that is carried
    place = (placement(node).tobytes(), None if parent is None else _to_world(parent))
    if node.IsA("vtkMRMLMarkupsNode"):
        names, points = points_from_node(node)
        return (*place, tuple(names), points.tobytes())
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        keys = (segmentation.GetNthSegmentID(i) for i in range(segmentation.GetNumberOfSegments()))
        segments = [(key, segmentation.GetSegment(key)) for key in keys]
        images = [node.GetBinaryLabelmapInternalRepresentation(key) for key, _ in segments]
        times = tuple(0 if image is None else image.GetMTime() for image in images)
        return (*place, tuple(segment.GetName() for _, segment in segments), times)
    if node.IsA("vtkMRMLVolumeNode"):
        image = node.GetImageData()
        local = kept_matrix(node).tobytes()
        return (*place, local, 0 if image is None else image.GetMTime())
    return place


def stored_at(node: Node) -> int:
    """When the node was last written to a file: a writer may arrange its voxels anew."""
    storage = node.GetStorageNode() if node.IsA("vtkMRMLStorableNode") else None
    return 0 if storage is None else int(storage.GetStoredTime().GetMTime())


def _to_world(transform: Node) -> bytes:
    matrix = vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return matrix_to_numpy(matrix).tobytes()


def _starts(
    labels: LabelMap | None, node: Node, scheme: TissueScheme | None
) -> tuple[TissueStart, ...]:
    """The rows of the tissue table: the tissues that occur, the background last."""
    if labels is None:
        return (ONE_FOR_ALL,)
    colors = tissue_colors(node, scheme)
    known = {} if scheme is None else scheme.elasticity()
    names = {v: labels.names.get(v, str(v) if v else BACKGROUND) for v in _values(labels)}
    seen = {names[value] for value in labels.present()}
    return tuple(
        TissueStart(
            name,
            colors.get(name, UNNAMED_COLOR),
            known.get(name, DEFAULT_ELASTICITY),
            name in seen,
        )
        for name in dict.fromkeys(names.values())
    )


def _values(labels: LabelMap) -> Iterable[int]:
    """Label values that occur or have a name, ascending, 0 last."""
    values = sorted({*labels.present(), *labels.names} - {0})
    return [*values, 0] if 0 in labels.present() else values
