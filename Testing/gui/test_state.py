"""State in the scene, both ways, and what the panel survives (Qt stand-in)."""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from typing import Any

import pytest

from ElasticHyperRegLib.mrml.pair_state import DisplayState, PairState, pair_nodes
from Testing.mrml.scene_files import load, save

from .driving import choose

BEATS = 100
LATE_SECONDS = 0.1


def state_of(widget: Any) -> PairState:
    return PairState.load(widget.panel.pairNode)


def test_choices_go_into_the_scene_at_once(widget):
    ui = widget.ui
    ui.modelComboBox.setCurrentIndex(ui.modelComboBox.findData("none"))
    ui.deviceComboBox.setCurrentIndex(ui.deviceComboBox.findData("cpu"))
    ui.initialComboBox.setCurrentIndex(ui.initialComboBox.findData("rigid"))
    ui.similarityComboBox.setCurrentIndex(ui.similarityComboBox.findData("mind"))
    ui.schemeComboBox.setCurrentIndex(ui.schemeComboBox.findData("thorax-ct"))
    ui.jacobianCheckBox.click()
    state = state_of(widget)
    assert (state.model, state.device, state.initial) == ("none", "cpu", "rigid")
    assert (state.scheme, state.similarity) == ("thorax-ct", "mind")
    assert state.display.jacobian
    assert state.nodes["moving"].GetName() == "inhale"


def test_a_script_changes_the_panel(live, controller, volumes):
    state = state_of(live)
    changed = PairState(
        nodes=state.nodes,
        elasticity={**state.elasticity, "lung": [0.3, 0.4]},
        display=DisplayState(mode="blend", blend=0.25, glyphs="grid"),
    )
    changed.store(live.panel.pairNode)
    live.panel.showState()
    assert (controller.tissues[0].lam, controller.tissues[0].mu) == (0.3, 0.4)
    assert live.panel.tissues.rows["lung"].muBox.value == pytest.approx(0.4)
    assert live.ui.displayModeComboBox.currentData == "blend"
    assert live.ui.blendSlider.value == 25
    assert live.ui.glyphComboBox.currentData == "grid"


@pytest.mark.parametrize("suffix", [".mrml", ".mrb"])
def test_saved_and_restored_with_the_scene(live, controller, slicer_standin, tmp_path, suffix):
    ui, scene = live.ui, slicer_standin.mrmlScene
    live.panel.tissues.rows["lung"].muBox.value = 0.4
    ui.keepAButton.click()
    live.panel.tissues.rows["lung"].muBox.value = 0.2
    ui.keepBButton.click()
    choose(ui.glyphComboBox, "cones")
    choose(ui.displayModeComboBox, "blend")
    ui.blendSlider.value = 30
    ui.jacobianCheckBox.click()
    live.onSceneStartSave(None, None)
    save(scene, tmp_path / f"scene{suffix}")
    scene.Clear(0)
    assert live.panel.live.controller is None
    assert ui.statusLabel.text == "The scene was closed."
    load(scene, tmp_path / f"scene{suffix}")
    live.panel.choosePair()
    live.panel.showState()
    state = state_of(live)
    assert state.elasticity["lung"] == [0.05, 0.2]
    assert [kept["elasticity"]["lung"][1] for kept in state.kept] == [0.4, 0.2]
    assert state.nodes["moving"].GetName() == ui.movingSelector.currentNode().GetName() == "inhale"
    assert ui.glyphComboBox.currentData == "cones"
    assert (ui.displayModeComboBox.currentData, ui.blendSlider.value) == ("blend", 30)
    assert ui.jacobianCheckBox.checked
    ui.registerButton.click()
    live.panel.live.poll()
    assert [ui.keptTable.item(row, 0).text() for row in range(ui.keptTable.rowCount)] == ["A", "B"]
    assert live.panel.tissues.rows["lung"].muBox.value == pytest.approx(0.2)


def imported(scene: Any, path: Any) -> None:
    """What *Add Data* does with a scene: the one that is open stays."""
    scene.SetURL(str(path))
    assert scene.Import()


def test_an_imported_scene_leaves_the_live_pair_alone(live, controller, slicer_standin, tmp_path):
    other = slicer_standin.vtkMRMLScene()
    for name in ("a scout", "b"):
        node = other.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        node.SetAndObserveImageData(slicer_standin.util.getNode("exhale").GetImageData())
    save(other, tmp_path / "other.mrml")
    before = state_of(live).nodes
    imported(slicer_standin.mrmlScene, tmp_path / "other.mrml")
    assert live.panel.live.controller is controller
    assert state_of(live).nodes == before
    assert live.ui.fixedSelector.currentNode().GetName() == "exhale"
    assert live.ui.movingSelector.currentNode().GetName() == "inhale"
    live.ui.swapButton.click()
    assert controller.closed, "what the user chooses counts again"


def test_a_pair_comes_whole_out_of_an_imported_scene(live, slicer_standin, make_widget, tmp_path):
    live.ui.swapButton.click()
    live.onSceneStartSave(None, None)
    scene = slicer_standin.mrmlScene
    save(scene, tmp_path / "scene.mrml")
    scene.Clear(0)
    live.panel.choosePair()
    imported(scene, tmp_path / "scene.mrml")
    nodes = state_of(live).nodes
    assert {role: node.GetName() for role, node in nodes.items()} == {
        "fixed": "inhale",
        "moving": "exhale",
    }
    assert live.ui.fixedSelector.currentNode() is nodes["fixed"]


def test_another_volume_has_a_transform_and_figures_of_its_own(live, controller, slicer_standin):
    live.ui.keepAButton.click()
    grid = slicer_standin.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", "live")
    state = controller.state
    controller.state = replace(state, nodes={**state.nodes, "transform": grid})
    live.panel.store()
    assert state_of(live).nodes["transform"] is grid
    assert state_of(live).kept[0]["metrics"]
    live.ui.swapButton.click()
    assert "transform" not in state_of(live).nodes
    assert [kept["metrics"] for kept in state_of(live).kept] == [{}]


def test_figures_go_with_their_pair(live, controller):
    live.ui.keepAButton.click()
    live.ui.foldsLabel.text, live.ui.liveQualityLabel.text = "2.00 %", "refined"
    live.ui.qualityTable.setRowCount(2)
    live.ui.swapButton.click()
    assert (live.ui.foldsLabel.text, live.ui.liveQualityLabel.text) == ("–", "–")
    assert live.ui.qualityTable.rowCount == live.ui.keptTable.rowCount == 0
    assert not live.ui.heatMapFrame.visible


def test_both_pairs_of_a_scene_come_back(live, controller, slicer_standin, tmp_path):
    scene = slicer_standin.mrmlScene
    live.panel.tissues.rows["lung"].muBox.value = 0.4
    live.ui.pairSelector.addNode()
    live.ui.swapButton.click()
    live.onSceneStartSave(None, None)
    save(scene, tmp_path / "scene.mrb")
    scene.Clear(0)
    load(scene, tmp_path / "scene.mrb")
    live.panel.choosePair()
    pairs = [PairState.load(node) for node in pair_nodes(scene)]
    assert [state.nodes["fixed"].GetName() for state in pairs] == ["exhale", "inhale"]
    assert [state.elasticity.get("lung") for state in pairs] == [[0.05, 0.4], None]


def test_several_pairs_in_one_scene(live, controller, slicer_standin):
    live.panel.tissues.rows["lung"].muBox.value = 0.4
    first = live.panel.pairNode
    second = live.ui.pairSelector.addNode()
    assert live.panel.pairNode is second
    assert controller.closed
    assert state_of(live).elasticity == {}
    live.ui.swapButton.click()
    live.ui.pairSelector.setCurrentNode(first)
    assert live.ui.fixedSelector.currentNode().GetName() == "exhale"
    assert state_of(live).elasticity["lung"] == [0.05, 0.4]
    assert PairState.load(second).nodes["fixed"].GetName() == "inhale"


def test_a_deleted_volume_ends_the_pair(live, controller, slicer_standin, volumes):
    slicer_standin.mrmlScene.RemoveNode(volumes[1])
    assert live.panel.live.controller is None
    assert live.ui.statusLabel.text
    assert not live.ui.registerButton.enabled


def test_reloading_closes_the_live_pair(live, controller):
    live.cleanup()
    assert controller.calls[-1] == ("close", "The module was closed.")
    assert live.panel.live.controller is None


def test_the_widgets_left_by_a_reload_write_nothing(live, volumes):
    pair = live.panel.pairNode
    live.cleanup()
    before = pair.GetMTime()
    live.ui.swapButton.click()
    live.ui.displayModeComboBox.setCurrentIndex(1)
    assert pair.GetMTime() == before
    assert PairState.load(pair).nodes["fixed"] is volumes[0]


def test_registering_again_starts_anew(live, controller):
    live.ui.registerButton.click()
    assert controller.closed
    assert live.panel.live.controller is not controller


def test_a_storm_of_moves_adds_no_node_and_never_holds_the_window(live, controller, qt_timer):
    from PySide6.QtWidgets import QApplication

    scene = live.panel.pairNode.GetScene()
    nodes, widgets = scene.GetNumberOfNodes(), len(QApplication.allWidgets())
    slider = live.panel.tissues.rows["lung"].muSlider
    slider.setSliderDown(True)
    controller.jobs.add("update")
    gc.collect()  # what other tests have left is not the window's to clear away
    gc.disable()
    late, beats, last = [], 0, [time.thread_time()]

    def beat():
        now = time.thread_time()
        late.append(now - last[0])
        last[0] = now

    timer = qt_timer(beat)
    while len(late) < BEATS:
        beats += 1
        slider.value = 300 + beats % 400
        QApplication.processEvents()
    timer.stop()
    gc.enable()
    slider.setSliderDown(False)
    assert max(late) < LATE_SECONDS
    assert controller.number > BEATS
    assert scene.GetNumberOfNodes() == nodes
    assert len(QApplication.allWidgets()) == widgets
