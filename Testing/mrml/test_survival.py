"""What a live pair survives: deletion, closing, changes, saving and loading."""

from __future__ import annotations

import time

import numpy as np
import pytest

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.mrml import (
    Closed,
    LiveController,
    Status,
    Updated,
    image_from_node,
    new_pair_node,
    pair_nodes,
)
from ElasticHyperRegLib.mrml.arrays import touched
from ElasticHyperRegLib.mrml.followers import own_parent
from ElasticHyperRegLib.mrml.geometry import matrix_to_vtk
from ElasticHyperRegLib.mrml.glyph_style import GlyphStyle
from ElasticHyperRegLib.mrml.pair_state import PairState
from Testing.mrml.fake_session import FakeSession
from Testing.mrml.live_pair import OPTIONS, ready, shown_at, until
from Testing.mrml.scene_files import load, save


@pytest.mark.parametrize("role", ["fixed volume", "moving volume", "labels"])
def test_a_deleted_input_ends_the_pair(scene, nodes, role):
    controller = ready(scene, nodes)
    at = ["fixed volume", "moving volume", "labels"].index(role)
    controller.estimate()
    scene.RemoveNode(nodes[at])
    closed, _ = until(controller, Closed)
    assert "was deleted" in closed.reason and nodes[at].GetName() in closed.reason
    assert FakeSession.made[-1].closed.wait(2)
    assert controller.closed and controller.poll() == []
    controller.set_elasticity("body", 0.1, 0.2)  # a slider that is still on the screen
    assert scene.GetNumberOfNodes() > 0


def test_closing_the_scene_ends_the_pair(scene, nodes):
    controller = ready(scene, nodes)
    scene.Clear(0)
    assert until(controller, Closed)[0].reason == "the scene was closed"
    assert FakeSession.made[-1].closed.wait(2)


def test_closing_the_scene_while_preparing(scene, nodes):
    before = len(FakeSession.made)
    controller = LiveController(scene, *nodes, options=OPTIONS)
    controller.start()
    scene.Clear(0)
    until(controller, Closed)
    while not controller.ended:
        time.sleep(0.002)
    assert all(session.closed.is_set() for session in FakeSession.made[before:])
    assert scene.GetNumberOfNodesByClass("vtkMRMLTransformNode") == 0


def test_a_deleted_live_transform_ends_the_pair(scene, nodes):
    controller = ready(scene, nodes)
    scene.RemoveNode(controller.display.transform_node)
    assert "live transform" in until(controller, Closed)[0].reason


def test_a_deleted_overlay_is_made_anew(scene, nodes):
    controller = ready(scene, nodes)
    controller.set_elasticity("body", 0.25, 0.5)
    until(controller, Updated)
    scene.RemoveNode(controller.display.jacobian_node)
    assert Status("a deleted overlay was made anew", True) in controller.poll()
    assert scene.IsNodePresent(controller.display.jacobian_node)
    controller.set_elasticity("body", 0.5, 0.5)
    until(controller, Updated)


def test_a_changed_volume_is_said_once(scene, nodes):
    controller = ready(scene, nodes)
    touched(nodes[0].GetImageData())
    assert [e.warning for e in controller.poll() if isinstance(e, Status)] == [True]
    assert controller.status.startswith("CT 1 was changed")
    assert controller.poll() == []


def test_a_batch_of_changes_is_left_alone(scene, nodes):
    controller = ready(scene, nodes)
    controller.set_elasticity("body", 0.25, 0.5)
    scene.StartState(scene.BatchProcessState)
    assert controller.poll() == []
    scene.EndState(scene.BatchProcessState)
    until(controller, Updated)


def test_closing_puts_the_moving_side_back(scene, nodes):
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "bed")
    shift = np.eye(4)
    shift[:3, 3] = 1, 2, 3
    parent.SetMatrixTransformToParent(matrix_to_vtk(shift))
    nodes[1].SetAndObserveTransformNodeID(parent.GetID())
    place = image_from_node(nodes[1]).grid
    before = scene.GetNumberOfNodesByClass("vtkMRMLLinearTransformNode")
    controller = ready(scene, nodes)
    assert nodes[1].GetParentTransformNode() is not parent
    assert nodes[3].GetParentTransformNode() is controller.display.transform_node
    assert image_from_node(nodes[1]).grid.same_as(place, 1e-9)
    controller.close()
    assert nodes[1].GetParentTransformNode() is parent
    assert nodes[3].GetParentTransformNode() is None
    assert scene.GetNumberOfNodesByClass("vtkMRMLLinearTransformNode") == before
    assert isinstance(controller.poll()[0], Closed)


def test_a_parent_that_the_user_took_away_does_not_come_back(scene, nodes):
    bed = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "bed")
    nodes[1].SetAndObserveTransformNodeID(bed.GetID())
    first = ready(scene, nodes)
    assert own_parent(nodes[1]) is bed
    nodes[1].SetAndObserveTransformNodeID(None)
    first.close()
    second = ready(scene, nodes)
    second.close()
    assert nodes[1].GetParentTransformNode() is None is own_parent(nodes[1])


def test_a_closed_pair_shows_nothing_any_more(scene, nodes):
    layers = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    controller = ready(scene, nodes)
    display = controller.display
    controller.set_elasticity("body", 0.25, 0.5)
    until(controller, Updated)
    display.set_glyphs(GlyphStyle("arrows"))
    display.set_jacobian(True)
    assert layers.GetLabelVolumeID() is not None
    pair = new_pair_node(scene)
    controller.store(pair)
    controller.close()
    assert layers.GetLabelVolumeID() is None
    drawn = [display.glyph_node.GetNthDisplayNode(number) for number in (0, 1)]
    assert not any(node.GetVisibility() for node in drawn)
    shown = PairState.load(pair).display
    assert (shown.glyphs, shown.jacobian) == ("arrows", True), "the saved pair shows them again"


def test_a_mended_display_shows_what_it_showed(scene, nodes):
    controller = ready(scene, nodes)
    controller.set_elasticity("body", 0.25, 0.5)
    until(controller, Updated)
    controller.display.set_jacobian(True, 0.6)
    scene.RemoveNode(controller.display.glyph_node)
    controller.poll()
    assert controller.display.state.jacobian
    assert controller.display.state.overlay_opacity == 0.6


def test_one_volume_twice_is_refused(scene, nodes):
    with pytest.raises(InputError, match="as fixed and as moving"):
        LiveController(scene, nodes[0], nodes[0], options=OPTIONS)


@pytest.mark.parametrize("suffix", [".mrml", ".mrb"])
def test_a_saved_scene_brings_the_pair_back(scene, nodes, tmp_path, suffix):
    controller = ready(scene, nodes)
    controller.set_elasticity("body", 0.25, 0.5)
    controller.lock_ratio("organ", True)
    until(controller, Updated)
    controller.keep("A")
    controller.display.show("difference")
    controller.store(new_pair_node(scene))
    names = {node.GetName() for node in nodes}
    save(scene, tmp_path / f"scene{suffix}")
    fresh = type(scene)()
    load(fresh, tmp_path / f"scene{suffix}")
    (state,) = pair_nodes(fresh)
    again = LiveController.from_state(fresh, state, FakeSession)
    assert [(r.name, r.lam, r.mu, r.locked) for r in again.tissues] == [
        (r.name, r.lam, r.mu, r.locked) for r in controller.tissues
    ]
    assert [kept.name for kept in again.kept] == ["A"]
    before = fresh.GetNumberOfNodesByClass("vtkMRMLGridTransformNode")
    again.start()
    until(again, Updated)
    assert again.display is not None and again.display.mode == "difference"
    assert fresh.GetNumberOfNodesByClass("vtkMRMLGridTransformNode") == before == 1
    assert np.allclose(shown_at(again, (0, 80, 140)), (0.25, 80.5, 140), atol=1e-5)
    assert {n.GetName() for n in again._nodes.values()} == names
    grid = image_from_node(again._nodes["moving"]).grid
    assert grid.same_as(image_from_node(nodes[1]).grid, 1e-3)
    again.close()
    fresh.Clear(1)


def test_two_pairs_in_one_scene(scene, nodes):
    first, second = ready(scene, nodes), ready(scene, (nodes[1], nodes[0]))
    first.set_elasticity("body", 0.25, 0.5)
    second.set_elasticity("everywhere", 0.5, 0.0)
    until(first, Updated), until(second, Updated)
    assert np.allclose(shown_at(first, (0, 80, 140)), (0.25, 80.5, 140), atol=1e-5)
    assert np.allclose(shown_at(second, (0, 80, 140)), (0.5, 80, 140), atol=1e-5)
    for controller in (first, second):
        controller.store(new_pair_node(scene))
    assert len(pair_nodes(scene)) == 2
