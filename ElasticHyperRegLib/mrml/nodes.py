"""Nodes of ours in somebody's scene: how they are made and recognised."""

from __future__ import annotations

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
