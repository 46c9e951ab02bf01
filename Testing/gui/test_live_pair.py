"""The panel over the real session and real MRML nodes, on a small phantom (Qt stand-in)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ElasticHyperRegLib import Elasticity, InputError
from ElasticHyperRegLib.mrml import node_from_image, node_from_labels
from ElasticHyperRegLib.mrml.nodes import all_nodes
from Testing.mrml.fake_session import FakeSession
from Testing.unit.small_pair import small_request

from .driving import open_with

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


def test_one_click_leads_from_two_volumes_to_the_warped_view(phantom, module):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    widget = module.ElasticHyperRegWidget()
    widget.setup()
    widget.enter()
    widget.parent.show()
    QTest.mouseClick(widget.ui.registerButton, Qt.MouseButton.LeftButton)
    rest(widget)
    assert widget.panel.live.display.mode == "warped"
    transform = phantom[1].GetParentTransformNode().GetTransformFromParent()
    moved = [np.subtract(transform.TransformPoint(p), p) for p in ((60, 0, -40), (-60, 0, -40))]
    assert np.linalg.norm(moved, axis=1).min() > 1
    widget.cleanup()
    widget.parent.deleteLater()


@pytest.fixture
def small(scene):
    """The nodes of a small pair, and a third volume."""
    request = small_request()
    return [
        node_from_image(scene, request.fixed, "CT 1"),
        node_from_image(scene, request.moving, "CT 2"),
        node_from_labels(scene, request.fixed_labels, "tissues 1"),
        node_from_labels(scene, request.moving_labels, "tissues 2"),
        node_from_image(scene, request.moving, "CT 3"),
    ]


def act(widget: Any, nodes: list[Any], what: str) -> None:
    """What a user does in the middle of a run."""
    scene = nodes[0].GetScene()
    if what == "close the scene":
        scene.Clear(0)
    elif what == "delete a node":
        scene.RemoveNode(nodes[1])
    elif what == "switch volumes":
        widget.ui.movingSelector.setCurrentNode(nodes[4])
    else:
        widget.cleanup()


SAID = {
    "close the scene": "scene was closed",
    "delete a node": "deleted",
    "switch volumes": "inputs have changed",
    "reload": "module was closed",
}


@pytest.mark.parametrize("busy", ["prepare", "update"])
@pytest.mark.parametrize("what", SAID)
def test_what_happens_in_the_middle_is_survived_and_said(small, module, what, busy):
    widget = open_with(small[:4])
    ui, live = widget.ui, widget.panel.live
    ui.registerButton.click()
    if busy == "update":
        rest(widget)
        widget.panel.tissues.rows["body"].muSlider.value = 700
    assert busy in live.busy
    act(widget, small, what)
    wait_for(lambda: live.controller is None)
    assert SAID[what] in ui.statusLabel.text
    again = widget
    if what == "reload":
        again = module.ElasticHyperRegWidget()
        again.setup()
        again.enter()
        assert again.ui.movingSelector.currentNode() is small[1]
    if what in ("reload", "switch volumes"):
        again.ui.registerButton.click()
        rest(again)
        again.cleanup()
    widget.cleanup()


def wait_for(over: Callable[[], bool]) -> None:
    """Run the window until it is so."""
    from PySide6.QtWidgets import QApplication

    end = time.monotonic() + PATIENCE_SECONDS
    while not over():
        QApplication.processEvents()
        assert time.monotonic() < end


def test_the_logic_exports_and_registers_what_it_is_told(small, module, tmp_path):
    logic, pair = module.ElasticHyperRegLogic(), small[:4]
    values = {"everywhere": Elasticity(0.1, 0.2), "organ": (0.05, 0.6)}
    metrics = logic.export(str(tmp_path / "out"), *pair, elasticity=values)
    assert metrics["mean_dice"]["after"] > metrics["mean_dice"]["before"]
    record = json.loads((tmp_path / "out" / "request.json").read_text("utf-8"))
    found = record["options"]["elasticity"]
    assert found["organ"] == [0.05, 0.6] and found["body"] == [0.1, 0.2]
    with pytest.raises(InputError, match="is not empty"):
        logic.export(str(tmp_path / "out"), *pair)
    scene = small[0].GetScene()
    view = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    view.SetLabelVolumeID(small[1].GetID())
    before = set(all_nodes(scene))
    nodes = logic.register(*pair, elasticity=values)
    kept = {scene.GetNodeByID(key).GetName() for key in set(all_nodes(scene)) - before}
    assert {node.GetName() for node in nodes.values()} <= kept
    assert not [name for name in kept if "colours" in name or " to " in name or "legend" in name]
    assert view.GetLabelVolumeID() == small[1].GetID()
    assert set(nodes) == {"transform", "inverse", "warped", "warped_labels", "jacobian"}
    with pytest.raises(InputError, match="a tissue 'brain'"):
        logic.register(*pair, elasticity={"brain": (0.1, 0.1)})
    for odd in (0.1, {"lung": 0.1}, {"lung": (0.1,)}, {"lung": "0.1,0.2"}):
        with pytest.raises(InputError, match="two numbers λ, μ"):
            logic.register(*pair, elasticity=odd)
    for volumes in ((None, pair[1]), (pair[0], "CT 2")):
        with pytest.raises(InputError, match="expected a scalar volume"):
            logic.register(*volumes)
    assert small[1].GetParentTransformNode() is None


def test_the_logic_refuses_a_scene_that_changes_as_a_whole(small, module):
    scene = small[0].GetScene()
    scene.StartState(scene.BatchProcessState)
    with pytest.raises(InputError, match="being changed as a whole"):
        module.ElasticHyperRegLogic().register(*small[:4])
    scene.EndState(scene.BatchProcessState)


def test_the_logic_estimates(small, module, monkeypatch):
    class OpenedSession(FakeSession):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.gate.set()

    monkeypatch.setattr("ElasticHyperRegLib.session.Session", OpenedSession)
    before = set(all_nodes(small[0].GetScene()))
    found = module.ElasticHyperRegLogic().estimate(*small[:4])
    assert set(all_nodes(small[0].GetScene())) == before
    assert found.elasticity["organ"] == Elasticity(0.2, 0.6)


def test_the_logic_segments_with_the_extension_or_says_what_is_missing(small, module):
    with pytest.raises(InputError, match="TotalSegmentator"):
        module.ElasticHyperRegLogic().segment(small[0])
