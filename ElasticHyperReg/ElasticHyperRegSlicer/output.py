"""Section *Output*: results as nodes and as files."""

from __future__ import annotations

from typing import Any

import ctk
import slicer
from slicer.i18n import tr as _

from .live import LivePair


class OutputSection:
    """Writes the full result.

    Args:
        ui: the panel's widgets.
        live: the live pair.
    """

    def __init__(self, ui: Any, live: LivePair) -> None:
        self.ui = ui
        self._live = live
        ui.exportPathLineEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.writeOutputsButton.connect("clicked()", lambda: live.do("write_outputs"))
        ui.exportButton.connect("clicked()", self.export)
        ui.exportPathLineEdit.connect("currentPathChanged(QString)", lambda path: self.refresh())
        live.listen("Written", self._onWritten)
        live.listen("Exported", self._onExported)
        live.listen("Ready", lambda event: self._say(""))

    def refresh(self) -> None:
        """Buttons that can be used now; the name of the transform node."""
        display = self._live.display
        ready = display is not None and "register" not in self._live.busy
        self.ui.writeOutputsButton.enabled = ready
        self.ui.exportButton.enabled = ready and bool(self.ui.exportPathLineEdit.currentPath)
        node = display.transform_node if display is not None else None
        self.ui.transformNameLabel.text = node.GetName() if node is not None else "–"

    def export(self) -> None:
        """Write the files of ``register`` into the chosen folder."""
        self.ui.exportPathLineEdit.addCurrentPathToHistory()
        folder = self.ui.exportPathLineEdit.currentPath
        self._live.do("export", folder, self.ui.overwriteCheckBox.checked)

    def _onWritten(self, event: Any) -> None:
        lines = []
        for what, identifier in event.nodes.items():
            node = slicer.mrmlScene.GetNodeByID(identifier)
            if node is not None:
                lines.append(f"{what.replace('_', ' ')}: {node.GetName()}")
        self._say(_("Added to the scene:") + "\n" + "\n".join(lines))

    def _onExported(self, event: Any) -> None:
        self._say(_("Written to {folder}.").format(folder=event.folder))

    def _say(self, text: str) -> None:
        self.ui.writtenLabel.text = text
        self.ui.writtenLabel.visible = bool(text)
