"""The panel over the real session and real MRML nodes, on a small phantom (Qt stand-in)."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SIZE = 32
PATIENCE_SECONDS = 300


@pytest.fixture
def phantom(module, scene):
    from ElasticHyperRegSlicer.samples import loadPhantom

    return loadPhantom(size=SIZE)


@pytest.fixture
def widget(phantom, module):
    """The module with the phantom chosen and registered, once nothing goes on any more."""
    widget = module.ElasticHyperRegWidget()
    widget.setup()
    widget.enter()
    widget.ui.modelComboBox.setCurrentIndex(widget.ui.modelComboBox.findData("none"))
    widget.ui.labelsSelector.setCurrentNode(phantom[2])
    widget.ui.movingLabelsSelector.setCurrentNode(phantom[3])
    widget.ui.registerButton.click()
    rest(widget)
    yield widget
    widget.cleanup()
    widget.parent.deleteLater()


def rest(widget: Any) -> None:
    """Run the window until nothing goes on."""
    from PySide6.QtWidgets import QApplication

    live, end = widget.panel.live, time.monotonic() + PATIENCE_SECONDS
    while live.display is None or live.busy:
        QApplication.processEvents()
        time.sleep(0.005)
        assert live.controller is not None, widget.ui.statusLabel.text
        assert time.monotonic() < end, widget.ui.statusLabel.text


def test_register_drag_measure_and_write(widget, phantom, slicer_standin):
    scene, ui = slicer_standin.mrmlScene, widget.ui
    moving = phantom[1]
    transform = widget.panel.live.display.transform_node
    assert moving.GetParentTransformNode() is transform
    assert {"lung", "bone", "liver", "heart", "soft_tissue"} <= set(widget.panel.tissues.rows)
    assert ui.qualityTable.rowCount >= 5
    nodes, before = scene.GetNumberOfNodes(), transform.GetMTime()
    for position in (300, 500, 700):
        widget.panel.tissues.rows["lung"].muSlider.value = position
    rest(widget)
    assert scene.GetNumberOfNodes() == nodes
    assert transform.GetTransformFromParent().GetDisplacementGrid().GetMTime() > before
    ui.writeOutputsButton.click()
    rest(widget)
    assert "warped: " in ui.writtenLabel.text
    widget.panel.end("closed by the test")
    assert moving.GetParentTransformNode() is None


def test_the_self_test_of_the_module(module, scene):
    test = module.ElasticHyperRegTest()
    test.size = SIZE
    test.setUp()
    test.test_phantom()
