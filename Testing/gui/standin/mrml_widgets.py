"""Qt stand-in: Slicer's MRML widgets of the panel, over a real MRML scene."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, Signal, Slot
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget

SCENE: tuple[Any, ...] = ("vtkMRMLScene*",)
STRINGS: Any = "QStringList"
NODE_ADDED, NODE_REMOVED, END_CLOSE = "NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent"
START_IMPORT, END_IMPORT = "StartImportEvent", "EndImportEvent"


class qMRMLWidget(QWidget):  # noqa: N801
    """The top widget of a module; hands the scene on."""

    mrmlSceneChanged = Signal(*SCENE)
    """Never emitted: Qt cannot carry a scene of Python's. ``setMRMLScene`` hands it on itself."""

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        """To every MRML widget inside, as the connections of the ``.ui`` ask."""
        for child in self.findChildren(qMRMLNodeComboBox):
            child.setMRMLScene(scene)


def _flag(name: str, kind: type, default: Any) -> Any:
    """A property that only has to be remembered."""

    def setter(self: Any, value: Any) -> None:
        self._flags[name] = value
        self._refresh()

    return Property(kind, lambda self: self._flags.get(name, default), setter)


class qMRMLNodeComboBox(QWidget):  # noqa: N801
    """Chooses a node of some classes; follows what is added to and removed from the scene."""

    currentNodeChanged = Signal(object)
    nodeAddedByUser = Signal(object)
    SIGNATURES = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
    }

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._box = QComboBox(self)
        row.addWidget(self._box)
        self._scene: Any = None
        self._types: list[str] = []
        self._flags: dict[str, Any] = {}
        self._attributes: list[tuple[str, str, str]] = []
        self._importing = False
        self._current: str = ""
        self._name: str = ""
        self._box.currentIndexChanged.connect(lambda *_: self._picked())

    noneEnabled = _flag("noneEnabled", bool, False)
    addEnabled = _flag("addEnabled", bool, True)
    removeEnabled = _flag("removeEnabled", bool, True)
    renameEnabled = _flag("renameEnabled", bool, False)
    editEnabled = _flag("editEnabled", bool, False)
    showHidden = _flag("showHidden", bool, False)
    showChildNodeTypes = _flag("showChildNodeTypes", bool, True)
    selectNodeUponCreation = _flag("selectNodeUponCreation", bool, False)
    baseName = _flag("baseName", str, "")
    noneDisplay = _flag("noneDisplay", str, "None")

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._refresh()

    nodeTypes = Property(STRINGS, lambda self: self._types, _set_types)

    def addAttribute(self, node_type: str, name: str, value: str) -> None:  # noqa: N802
        """Offer only nodes of ``node_type`` whose attribute has this value."""
        self._attributes.append((node_type, name, value))
        self._refresh()

    @Slot("vtkMRMLScene*")
    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        """Follow ``scene``."""
        if scene is self._scene:
            return
        self._scene = scene
        for event in (NODE_ADDED, NODE_REMOVED, END_CLOSE):
            scene.AddObserver(getattr(scene, event), lambda *_: self._refresh())
        scene.AddObserver(getattr(scene, START_IMPORT), lambda *_: self._import(True))
        scene.AddObserver(getattr(scene, END_IMPORT), lambda *_: self._import(False))
        self._refresh()

    def _import(self, begins: bool) -> None:
        """As Slicer's scene model: deaf meanwhile, then filled anew, the choice forgotten."""
        self._importing = begins
        if not begins:
            self._refresh(forget=True)

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        found = []
        for kind in self._types:
            nodes = self._scene.GetNodesByClass(kind)
            found += [nodes.GetItemAsObject(i) for i in range(nodes.GetNumberOfItems())]
        return [node for node in found if self._offers(node)]

    def _offers(self, node: Any) -> bool:
        if not self.showChildNodeTypes and node.GetClassName() not in self._types:
            return False
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        wanted = [(n, v) for kind, n, v in self._attributes if node.IsA(kind)]
        return all(node.GetAttribute(name) == value for name, value in wanted)

    def _refresh(self, forget: bool = False) -> None:
        if self._importing:
            return
        nodes = self._nodes()
        self._box.blockSignals(True)
        self._box.clear()
        if self.noneEnabled or not nodes:
            self._box.addItem(self.noneDisplay, "")
        for node in nodes:
            self._box.addItem(node.GetName(), node.GetID())
        ids = [self._box.itemData(i) for i in range(self._box.property("count"))]
        chosen = self._current if self._current in ids and not forget else ids[0]
        self._box.setCurrentIndex(ids.index(chosen))
        self._box.blockSignals(False)
        self._choose(chosen)

    def _picked(self) -> None:
        self._choose(self._box.property("currentData") or "")

    def _choose(self, node_id: str) -> None:
        """A chosen node that got another name is told of as well: as by ``currentTextChanged``."""
        node = self._scene.GetNodeByID(node_id) if self._scene and node_id else None
        name = node.GetName() if node else ""
        if (node_id, name) == (self._current, self._name):
            return
        if node_id != self._current and node is not None:
            node.AddObserver("ModifiedEvent", lambda *_: self._renamed(node_id))
        self._current, self._name = node_id, name
        self.currentNodeChanged.emit(node)

    def _renamed(self, node_id: str) -> None:
        node = self.currentNode()
        if node_id == self._current and node is not None and node.GetName() != self._name:
            self._refresh()

    def currentNode(self) -> Any:  # noqa: N802
        """The chosen node, or ``None``."""
        return self._scene.GetNodeByID(self._current) if self._scene and self._current else None

    def setCurrentNode(self, node: Any) -> None:  # noqa: N802
        """Choose a node, or none."""
        self._refresh()
        index = self._box.findData(node.GetID() if node else "")
        if index >= 0:
            self._box.setCurrentIndex(index)
            self._picked()

    currentNodeID = Property(str, lambda self: self._current)

    def addNode(self, node_type: str = "") -> Any:  # noqa: N802
        """What *Create new* of the menu does."""
        kind = node_type or self._types[0]
        name = self._scene.GenerateUniqueName(self.baseName or kind)
        node = self._scene.CreateNodeByClass(kind)
        node.SetName(name)
        for wanted, attribute, value in self._attributes:
            if node.IsA(wanted):
                node.SetAttribute(attribute, value)
        added = self._scene.AddNode(node)
        node.UnRegister(None)
        self.nodeAddedByUser.emit(added)
        self.setCurrentNode(added)
        return added


WIDGETS: list[type] = [qMRMLWidget, qMRMLNodeComboBox]
