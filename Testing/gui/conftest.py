"""The module's panel on the Qt stand-in, over a real MRML scene."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "ElasticHyperReg"

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session")
def slicer_standin() -> Any:
    """``slicer`` as a scripted module finds it (Qt stand-in)."""
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")
    from .standin import install

    slicer = install()
    sys.path.append(str(MODULE_FOLDER))
    return slicer


@pytest.fixture
def scene(slicer_standin: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty scene; a fault in a slot fails the test."""
    from .standin.pythonqt import SLOT_FAULTS

    SLOT_FAULTS.clear()
    scene = slicer_standin.vtkMRMLScene()
    monkeypatch.setattr(slicer_standin, "mrmlScene", scene)
    yield scene
    faults = list(SLOT_FAULTS)
    SLOT_FAULTS.clear()
    if faults:
        raise faults[0]


@pytest.fixture
def volumes(slicer_standin: Any, scene: Any) -> tuple[Any, Any]:
    """Two loaded volumes."""
    first, second = (
        slicer_standin.util.addVolumeFromArray(np.zeros((4, 5, 6)), name=name)
        for name in ("exhale", "inhale")
    )
    return first, second


@pytest.fixture
def module(slicer_standin: Any) -> Any:
    """The module's file, imported."""
    import ElasticHyperReg

    return ElasticHyperReg


@pytest.fixture
def make_widget(
    scene: Any, module: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Any]]:
    """Factory of opened module widgets whose pairs are ``FakeController``."""
    from .fake_controller import FakeController

    monkeypatch.setattr(
        module.ElasticHyperRegLogic, "openPair", lambda self, pair: FakeController(pair)
    )
    made = []

    def make() -> Any:
        widget = module.ElasticHyperRegWidget()
        widget.setup()
        widget.enter()
        made.append(widget)
        return widget

    yield make
    for widget in made:
        widget.cleanup()
        widget.parent.deleteLater()


@pytest.fixture
def widget(volumes: Any, make_widget: Callable[[], Any]) -> Any:
    """The module, opened with two loaded volumes."""
    return make_widget()


@pytest.fixture
def live(widget: Any) -> Any:
    """The module with a live pair."""
    widget.ui.registerButton.click()
    widget.panel.live.poll()
    return widget


@pytest.fixture
def controller(live: Any) -> Any:
    """The ``FakeController`` of ``live``."""
    return live.panel.live.controller


@pytest.fixture
def qt_timer(slicer_standin: Any) -> Callable[[Callable[[], None]], Any]:
    """Factory of running 20 ms timers."""
    import qt

    def make(beat: Callable[[], None]) -> Any:
        timer = qt.QTimer()
        timer.interval = 20
        timer.connect("timeout()", beat)
        timer.start()
        return timer

    return make
