"""The state of a pair in the scene: saved and restored with it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import InputError
from .nodes import Node, Scene

MODULE = "ElasticHyperReg"
VERSION = "1"
REFERENCES = (
    "fixed",
    "moving",
    "labels",
    "moving_labels",
    "fixed_points",
    "moving_points",
    "fixed_mask",
    "moving_mask",
    "transform",
)


@dataclass(frozen=True)
class DisplayState:
    """What is shown; see ``RegistrationDisplay``. A sensitivity map is not kept."""

    mode: str = "warped"
    blend: float = 0.5
    jacobian: bool = False
    overlay_opacity: float = 0.8
    glyphs: str = "off"
    glyph_density_mm: float = 15.0
    glyph_scale: float = 1.0


@dataclass(frozen=True, eq=False)
class PairState:
    """Everything a shell restores of a pair.

    Attributes:
        nodes: role (see ``REFERENCES``) → node; roles without a node are absent.
        model: as in ``ControllerOptions``; likewise ``device``, ``initial``, ``seed``, ``refine``,
            ``similarity``, ``scheme``.
        elasticity: tissue → [λ, μ].
        locked: tissues whose ratio is kept.
        kept: kept settings, each ``{"name", "elasticity", "metrics"}``.
        display: what is shown.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    model: str = "auto"
    device: str = "auto"
    initial: Any = "affine"
    seed: int = 0
    refine: int | None = None
    similarity: str = "auto"
    scheme: str | None = None
    elasticity: dict[str, list[float]] = field(default_factory=dict)
    locked: tuple[str, ...] = ()
    kept: tuple[dict[str, Any], ...] = ()
    display: DisplayState = field(default_factory=DisplayState)

    def store(self, node: Node) -> None:
        """Write into a ``vtkMRMLScriptedModuleNode``; one change event at most.

        Raises:
            InputError: a role is unknown.
        """
        unknown = set(self.nodes) - set(REFERENCES)
        if unknown:
            raise InputError(f"node roles {sorted(unknown)}", f"some of {', '.join(REFERENCES)}")
        was = node.StartModify()
        for role in REFERENCES:
            referenced = self.nodes.get(role)
            node.SetNodeReferenceID(role, referenced.GetID() if referenced is not None else None)
        node.SetParameter("version", VERSION)
        for item in fields(self):
            if item.name == "nodes":
                continue
            value = getattr(self, item.name)
            plain = asdict(value) if item.name == "display" else value
            node.SetParameter(item.name, json.dumps(plain))
        node.EndModify(was)

    @classmethod
    def load(cls, node: Node) -> PairState:
        """Read back what ``store`` wrote; what is missing takes its default.

        Raises:
            InputError: a parameter is damaged, or written by a newer version.
        """
        version = node.GetParameter("version") or VERSION
        if version != VERSION:
            raise InputError(
                f"a pair saved by version {version} of the module",
                f"version {VERSION}",
                "update ElasticHyperReg",
            )
        given: dict[str, Any] = {}
        for item in fields(cls):
            text = "" if item.name == "nodes" else node.GetParameter(item.name)
            if text:
                given[item.name] = _decoded(item.name, text)
        nodes = {role: node.GetNodeReference(role) for role in REFERENCES}
        return cls(nodes={role: found for role, found in nodes.items() if found}, **given)


def new_pair_node(scene: Scene, name: str = "ElasticHyperReg pair") -> Node:
    """A new parameter node for one more pair."""
    node = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
    node.UnRegister(None)
    # An attribute, as Slicer itself does since 5.0: its node selectors filter by it.
    node.SetAttribute("ModuleName", MODULE)
    node.SetName(scene.GetUniqueNameByString(name))
    return scene.AddNode(node)


def pair_nodes(scene: Scene) -> list[Node]:
    """The parameter nodes of all pairs in the scene, oldest first."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode")
    nodes = [scene.GetNthNodeByClass(i, "vtkMRMLScriptedModuleNode") for i in range(count)]
    return [node for node in nodes if node.GetAttribute("ModuleName") == MODULE]


def _decoded(name: str, text: str) -> Any:
    try:
        value = json.loads(text)
        if name == "display":
            return DisplayState(**value)
        return tuple(value) if name in ("locked", "kept") else value
    except (ValueError, TypeError) as error:
        raise InputError(
            f"the saved {name} of a pair, '{text[:40]}'",
            "what the module wrote",
            "remove the pair and set it up again",
        ) from error
