"""Notices that nodes of a pair went away or were changed by somebody else."""

from __future__ import annotations

from ..errors import InputError
from .inputs import signature, stored_at
from .nodes import Node, Scene, in_scene, name_of


class Watch:
    """Looks at the scene when asked; observes nothing, so that nothing is left behind.

    Args:
        scene: vtkMRMLScene.
        nodes: role → node, as they are read now.
    """

    def __init__(self, scene: Scene, nodes: dict[str, Node]) -> None:
        self._scene = scene
        self._nodes = dict(nodes)
        self._names = {role: name_of(node) for role, node in nodes.items()}
        self._signatures = {role: _signature(node) for role, node in nodes.items()}
        self._stored = {role: stored_at(node) for role, node in nodes.items()}

    @property
    def away(self) -> bool:
        """Whether the scene is being closed, read or changed as a whole: do not touch it now."""
        scene = self._scene
        return bool(scene.IsClosing() or scene.IsImporting() or scene.IsBatchProcessing())

    def missing(self) -> str:
        """What went away, as a sentence; empty where nothing did."""
        lost = [role for role, node in self._nodes.items() if not in_scene(self._scene, node)]
        if len(lost) == len(self._nodes):
            return "the scene was closed"
        words = [f"{role.replace('_', ' ')} '{self._names[role]}'" for role in lost]
        return f"{' and '.join(words)} was deleted" if words else ""

    def changed(self) -> tuple[str, ...]:
        """Names of nodes that changed since they were read; each change is told once."""
        found = []
        for role, node in self._nodes.items():
            now, before = _signature(node), self._signatures[role]
            stored, self._stored[role] = self._stored[role], stored_at(node)
            if now == before:
                continue
            self._signatures[role] = now
            # Slicer's writer merges the images of segments, which is no change of what they show.
            written = stored != self._stored[role] and node.IsA("vtkMRMLSegmentationNode")
            if not (written and now[:-1] == before[:-1]):
                found.append(name_of(node))
        return tuple(found)


def _signature(node: Node) -> tuple[object, ...]:
    """As ``signature``, which ends with when the voxels were changed, where there are any."""
    try:
        return signature(node)
    except InputError as error:
        return (str(error), None)
