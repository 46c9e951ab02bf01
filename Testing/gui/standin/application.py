"""Qt stand-in: the application that a scripted module meets in 3D Slicer.

``slicer.app``, the modules, ``ScriptedLoadableModule`` and its Widget, Logic and Test, and
``slicer.i18n``: what the module calls, no more.
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

MODULE_FILE = Path(__file__).resolve().parents[3] / "ElasticHyperReg" / "ElasticHyperReg.py"
STARTUP = "startupCompleted()"


class Application(QtCore.QObject):
    """``slicer.app``."""

    startupCompleted = QtCore.Signal()
    majorVersion, minorVersion = 5, 10

    def __init__(self) -> None:
        super().__init__()
        self._layout = LayoutManager()
        self._modules = ModuleManager()

    def layoutManager(self) -> Any:  # noqa: N802
        """The views; ``None`` without a main window."""
        return self._layout

    def moduleManager(self) -> Any:  # noqa: N802
        return self._modules

    def topLevelWidgets(self) -> list[Any]:  # noqa: N802
        """Without a main window."""
        return []

    def setOverrideCursor(self, cursor: Any) -> None:  # noqa: N802
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:  # noqa: N802
        QtWidgets.QApplication.restoreOverrideCursor()

    def testingEnabled(self) -> bool:  # noqa: N802
        return False

    def processEvents(self) -> None:  # noqa: N802
        QtWidgets.QApplication.processEvents()


class LayoutManager(QtCore.QObject):
    """Records what the module asks of the views."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: list[int] = []

    def setLayout(self, layout: int) -> None:  # noqa: N802
        self._asked.append(layout)

    def resetSliceViews(self) -> None:  # noqa: N802
        self._asked.append(-1)


class ModuleManager(QtCore.QObject):
    """Knows no other module."""

    moduleAboutToBeUnloaded = QtCore.Signal(str)
    SIGNATURES = {"moduleAboutToBeUnloaded(QString)": "moduleAboutToBeUnloaded"}

    def module(self, name: str) -> Any:
        return None


class ScriptedLoadableModule:
    """Base of a module."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, name: str) -> str:  # noqa: N802
        return str(Path(self.parent.path).parent / "Resources" / name)


class ScriptedLoadableModuleWidget:
    """Base of a module's panel."""

    def __init__(self, parent: Any = None) -> None:
        import slicer

        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = parent or slicer.qMRMLWidget()
        if self.parent.layout() is None:
            self.parent.setLayout(QtWidgets.QVBoxLayout())
        self.layout = self.parent.layout()

    def resourcePath(self, name: str) -> str:  # noqa: N802
        return str(MODULE_FILE.parent / "Resources" / name)

    def setup(self) -> None:
        """Builds the panel."""

    def cleanup(self) -> None:
        """Before the module is unloaded."""


class ScriptedLoadableModuleLogic:
    """Base of a module's logic."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def createParameterNode(self) -> Any:  # noqa: N802
        import slicer

        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        node.SetAttribute("ModuleName", self.moduleName)
        node.UnRegister(None)
        return node

    def getAllParameterNodes(self) -> list[Any]:  # noqa: N802
        import slicer

        nodes = slicer.mrmlScene.GetNodesByClass("vtkMRMLScriptedModuleNode")
        found = [nodes.GetItemAsObject(i) for i in range(nodes.GetNumberOfItems())]
        return [node for node in found if node.GetAttribute("ModuleName") == self.moduleName]

    def getParameterNode(self) -> Any:  # noqa: N802
        import slicer

        found = self.getAllParameterNodes()
        return found[0] if found else slicer.mrmlScene.AddNode(self.createParameterNode())


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of a module's test."""

    def delayDisplay(self, message: str, msec: int = 0) -> None:  # noqa: N802
        """Slicer shows ``message`` for a while."""


def install(slicer: Any) -> None:
    """Give slicer-core's ``slicer`` what only the application has."""
    if QtWidgets.QApplication.instance() is None:
        slicer._qt_application = QtWidgets.QApplication(["stand-in"])
    slicer.app = Application()
    slicer.modules = SimpleNamespace()
    slicer.mrmlScene = slicer.vtkMRMLScene()
    scripted: Any = ModuleType("slicer.ScriptedLoadableModule")
    for entry in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(scripted, entry.__name__, entry)
    scripted.__all__ = [name for name in vars(scripted) if name.startswith("Scripted")]
    slicer.ScriptedLoadableModule = scripted
    translation: Any = ModuleType("slicer.i18n")
    translation.tr = lambda text: text
    translation.translate = lambda context, text: text
    slicer.i18n = translation
    sys.modules["slicer.ScriptedLoadableModule"] = scripted
    sys.modules["slicer.i18n"] = translation
    _font()


def _font() -> None:
    """Screenshots should not depend on the fonts of a platform without a desktop."""
    font = QtGui.QFont("DejaVu Sans")
    font.setPointSize(9)
    QtWidgets.QApplication.setFont(font)
    QtWidgets.QApplication.setStyle("Fusion")
