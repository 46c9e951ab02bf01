"""Qt stand-in: enough of Slicer's Python environment to run the module's panel without Slicer.

Real are Qt (PySide6), the MRML scene and ``slicer.util`` (slicer-core). Ours, and therefore only
as true as we made them, are the habits of PythonQt (``pythonqt``), the widgets of CTK and of
Slicer (``ctk_widgets``, ``mrml_widgets``) and the application (``application``). What passes here
has been tested on these stand-ins, not in 3D Slicer.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from . import application, ctk_widgets, mrml_widgets, pythonqt


def install() -> Any:
    """Put ``qt``, ``ctk`` and what slicer-core lacks of ``slicer`` in place; returns ``slicer``."""
    import slicer

    if "qt" in sys.modules:
        return slicer
    sys.modules["qt"] = pythonqt.qt_module([*ctk_widgets.WIDGETS, *mrml_widgets.WIDGETS])
    sys.modules["ctk"] = _module("ctk", ctk_widgets.WIDGETS)
    for widget in mrml_widgets.WIDGETS:
        setattr(slicer, widget.__name__, widget)
    application.install(slicer)
    return slicer


def _module(name: str, classes: list[type]) -> ModuleType:
    module = ModuleType(name)
    for entry in classes:
        setattr(module, entry.__name__, entry)
    return module
