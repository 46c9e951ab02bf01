"""Markups nodes → landmarks."""

from __future__ import annotations

import re

import numpy as np

from ..errors import InputError
from .geometry import placement
from .nodes import Node, name_of

_NUMBERED = re.compile(r"(.*-)\d+")


def points_from_node(node: Node) -> tuple[list[str], np.ndarray]:
    """Labels and positions (P, 3) RAS mm of the control points that were placed.

    Linear parent transforms count; a live transform of ours does not.

    Raises:
        InputError: no markups node, or an unsuitable parent transform.
    """
    if node is None or not node.IsA("vtkMRMLMarkupsNode"):
        given = "no markups" if node is None else f"{name_of(node)}, a {node.GetClassName()}"
        raise InputError(given, "a list of markups points", "choose one")
    placed = [
        i
        for i in range(node.GetNumberOfControlPoints())
        if node.GetNthControlPointPositionStatus(i) == node.PositionDefined
    ]
    local = np.array([node.GetNthControlPointPosition(i) for i in placed]).reshape(-1, 3)
    matrix = placement(node)
    labels = [str(node.GetNthControlPointLabel(i)) for i in placed]
    return labels, local @ matrix[:3, :3].T + matrix[:3, 3]


def matched_points(fixed_node: Node, moving_node: Node) -> tuple[np.ndarray, np.ndarray]:
    """The landmarks that both lists name, (P, 3) and (P, 3) RAS mm, in the fixed list's order.

    Points need not be named: ``fixed-1`` and ``moving-1`` are one landmark where all of a list
    begin so, as with the name that the list had when they were placed.

    Raises:
        InputError: a label occurs twice in a list, or no label occurs in both.
    """
    (names, fixed), (others, moving) = (_keyed(node) for node in (fixed_node, moving_node))
    both = [name for name in names if name in others]
    if not both:
        raise InputError(
            f"{name_of(fixed_node)} and {name_of(moving_node)} without a label in common",
            "landmarks with the same labels in both lists",
            "rename the points",
        )
    here, there = [names.index(name) for name in both], [others.index(name) for name in both]
    return fixed[here], moving[there]


def _keyed(node: Node) -> tuple[list[str], np.ndarray]:
    """Points by label, less the name of a list that Slicer puts before a number."""
    labels, points = points_from_node(node)
    own = f"{name_of(node)}-"
    begins = {match[1] for match in map(_NUMBERED.fullmatch, labels) if match}
    if len(begins) == 1 and all(map(_NUMBERED.fullmatch, labels)):
        own = begins.pop()
    names = [label.removeprefix(own) for label in labels]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(
            f"{name_of(node)}: the label {min(twice)} twice", "each label once", "rename a point"
        )
    return names, points
