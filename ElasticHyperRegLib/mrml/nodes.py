"""Nodes of ours in somebody's scene: how they are made and recognised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Node = Any
"""A vtkMRMLNode; the bindings carry no types."""
Scene = Any
"""A vtkMRMLScene."""

ROLE = "ElasticHyperReg.Role"
"""Attribute that marks a node as ours; it is saved with the scene."""


def add_node(scene: Scene, kind: str, name: str, role: str) -> Node:
    """New node of class ``vtkMRML{kind}Node`` with a unique name near ``name``, marked as ours."""
    node = scene.CreateNodeByClass(f"vtkMRML{kind}Node")
    node.UnRegister(None)  # CreateNodeByClass hands over a reference that Python also holds
    node.SetName(scene.GetUniqueNameByString(name))
    node.SetAttribute(ROLE, role)
    return scene.AddNode(node)


def role_of(node: Node) -> str:
    """The role of a node of ours, empty for any other."""
    return (node.GetAttribute(ROLE) if node is not None else None) or ""


def in_scene(scene: Scene, node: Node) -> bool:
    """Whether ``node`` still stands in ``scene``."""
    return node is not None and scene is not None and bool(scene.IsNodePresent(node))


def name_of(node: Node) -> str:
    """Name for messages."""
    return str((node.GetName() if node is not None else None) or "unnamed node")


def all_nodes(scene: Scene) -> dict[str, Node]:
    """Every node of a scene by its ID."""
    nodes = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
    return {str(node.GetID()): node for node in nodes}


@contextmanager
def keeping_only(scene: Scene, role: str) -> Iterator[None]:
    """Afterwards only nodes of ``role``, and what they refer to, are left of what was added."""
    before = set(all_nodes(scene))
    try:
        yield
    finally:
        added = {key: node for key, node in all_nodes(scene).items() if key not in before}
        wanted: set[str] = set()
        for key, node in added.items():
            if role_of(node) == role:
                referred = scene.GetReferencedNodes(node)
                found = (referred.GetItemAsObject(n) for n in range(referred.GetNumberOfItems()))
                wanted |= {key, *(str(other.GetID()) for other in found)}
        for key, node in added.items():
            if key not in wanted and in_scene(scene, node):
                scene.RemoveNode(node)
