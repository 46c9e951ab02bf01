"""Nodes carried along by a live transform, and put back where they stood."""

from __future__ import annotations

import numpy as np

from .geometry import LIVE, matrix_to_vtk, placement
from .nodes import Node, Scene, add_node, in_scene, name_of, role_of

PLACEMENT = "placement"
"""Role of a linear transform that keeps the place of a node which had a parent transform."""
FORMER = "ElasticHyperReg.formerParent"
"""Node reference to the parent transform that a carried node had; saved with the scene."""


def follow(scene: Scene, node: Node, live: Node) -> None:
    """Show ``node`` as ``live`` warps it, from where it stands in the world.

    A linear parent transform is kept between the two. A node that another live transform carries
    goes over to this one.

    Raises:
        InputError: a parent transform is not linear.
    """
    matrix = placement(node)
    parent = node.GetParentTransformNode()
    if role_of(parent) == PLACEMENT:
        parent.SetAndObserveTransformNodeID(live.GetID())
        return
    if parent is None:
        node.RemoveNodeReferenceIDs(FORMER)  # the user took it out of that meanwhile
    elif role_of(parent) != LIVE:
        node.SetNodeReferenceID(FORMER, parent.GetID())
    carrier = live
    if not np.array_equal(matrix, np.eye(4)):
        carrier = add_node(scene, "LinearTransform", f"{name_of(node)} placement", PLACEMENT)
        carrier.SetMatrixTransformToParent(matrix_to_vtk(matrix))
        carrier.SetAndObserveTransformNodeID(live.GetID())
    node.SetAndObserveTransformNodeID(carrier.GetID())


def own_parent(node: Node) -> Node | None:
    """The parent transform that the user gave a node; of a carried node its former one."""
    parent = node.GetParentTransformNode()
    return node.GetNodeReference(FORMER) if role_of(parent) in (LIVE, PLACEMENT) else parent


def carried_by(node: Node, live: Node) -> bool:
    """Whether ``live`` carries ``node``, or did so until it was deleted."""
    parent = node.GetParentTransformNode()
    if role_of(parent) == PLACEMENT:
        parent = parent.GetParentTransformNode()
        return parent is None or parent is live
    return parent is not None and parent is live


def let_go(scene: Scene, node: Node) -> None:
    """Put a node back that a live transform, of this session or an earlier one, still carries."""
    if role_of(node.GetParentTransformNode()) in (LIVE, PLACEMENT):
        release(scene, node)


def release(scene: Scene, node: Node) -> None:
    """Put a carried node back under its former parent transform."""
    parent = node.GetParentTransformNode()
    former = node.GetNodeReference(FORMER)
    node.SetAndObserveTransformNodeID(former.GetID() if in_scene(scene, former) else None)
    node.RemoveNodeReferenceIDs(FORMER)
    if role_of(parent) == PLACEMENT and in_scene(scene, parent):
        for other in _children(scene, parent):  # such as a dose that the user put beside it
            other.SetAndObserveTransformNodeID(node.GetTransformNodeID())
        scene.RemoveNode(parent)


def _children(scene: Scene, transform: Node) -> list[Node]:
    """Nodes that stand under a transform."""
    nodes = scene.GetNodesByClass("vtkMRMLTransformableNode")
    nodes.UnRegister(None)
    found = (nodes.GetItemAsObject(number) for number in range(nodes.GetNumberOfItems()))
    return [node for node in found if node.GetParentTransformNode() is transform]
