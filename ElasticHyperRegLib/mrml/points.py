"""Markups nodes → landmarks."""

from __future__ import annotations

import re

import numpy as np

from ..errors import InputError
from ..grid import map_points
from .geometry import placement
from .nodes import Node, name_of

_NUMBERED = re.compile(r"(.+?)(_\d+)?-\d+")
"""Name that Slicer gave a list, what made it unique, and number of a point."""


def _usual(names: list[str]) -> str | None:
    """The name of which all points of a list were made by Slicer, without what made it unique."""
    found = {match[1] if match else None for match in map(_NUMBERED.fullmatch, names)}
    return found.pop() if len(found) == 1 else None


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
    labels = [str(node.GetNthControlPointLabel(i)) for i in placed]
    return labels, map_points(placement(node), local)


def matched_points(fixed_node: Node, moving_node: Node) -> tuple[np.ndarray, np.ndarray]:
    """The landmarks that both lists name, (P, 3) and (P, 3) RAS mm, in the fixed list's order.

    Points need not be named: ``fixed-1`` and ``moving-1`` in the lists *fixed* and *moving* are one
    landmark; so are ``F-1`` and ``F_1-1``, as Slicer's new lists have them, whatever these are
    called since.

    Raises:
        InputError: a label occurs twice in a list, or no label occurs in both.
    """
    (names, fixed), (others, moving) = (_keyed(node) for node in (fixed_node, moving_node))
    both = [name for name in names if name in others]
    if not both and _usual(names) is not None and _usual(names) == _usual(others):
        names, others = ([name.rpartition("-")[2] for name in side] for side in (names, others))
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
    names = [label.removeprefix(own) for label in labels]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(
            f"{name_of(node)}: the label {min(twice)} twice", "each label once", "rename a point"
        )
    return names, points
