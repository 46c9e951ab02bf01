"""The state of pairs in the scene's parameter nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.mrml import DisplayState, PairState, new_pair_node, pair_nodes

STATE = PairState(
    model="elas-g",
    initial=[[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 2.5], [0, 0, 0, 1.0]],
    seed=3,
    refine=7,
    similarity="mind",
    scheme="thorax-ct",
    elasticity={"lung": [0.05, 0.1]},
    locked=("lung",),
    kept=({"name": "A", "elasticity": {"lung": [0.1, 0.1]}, "metrics": {"folds": 0.0}},),
    display=DisplayState("blend", 0.3, True, 0.7, "cones", 9.0, 2.0),
)


def test_state_round_trip(scene):
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    node = new_pair_node(scene)
    replace(STATE, nodes={"fixed": volume}).store(node)
    found = PairState.load(node)
    assert found.nodes == {"fixed": volume}
    assert replace(found, nodes={}).__dict__ == STATE.__dict__


def test_a_fresh_node_has_the_defaults(scene):
    assert PairState.load(new_pair_node(scene)).__dict__ == PairState().__dict__


def test_storing_again_forgets_nodes_that_are_gone(scene):
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    node = new_pair_node(scene)
    PairState(nodes={"fixed": volume}).store(node)
    PairState().store(node)
    assert PairState.load(node).nodes == {}


def test_storing_is_one_change(scene):
    node, heard = new_pair_node(scene), []
    node.AddObserver("ModifiedEvent", lambda *_: heard.append(1))
    STATE.store(node)
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("elasticity", "{lung", "the saved elasticity of a pair"),
        ("display", '{"colour": 1}', "the saved display of a pair"),
        ("version", "9", "a pair saved by version 9"),
    ],
)
def test_damaged_states_are_refused(scene, parameter, value, message):
    node = new_pair_node(scene)
    STATE.store(node)
    node.SetParameter(parameter, value)
    with pytest.raises(InputError, match=message):
        PairState.load(node)


def test_only_our_own_nodes_are_pairs(scene):
    other = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "other")
    other.SetAttribute("ModuleName", "Editor")
    first, second = new_pair_node(scene), new_pair_node(scene)
    assert pair_nodes(scene) == [first, second]
    assert first.GetName() != second.GetName()


def test_unknown_roles_are_refused(scene):
    with pytest.raises(InputError, match="node roles"):
        PairState(nodes={"atlas": None}).store(new_pair_node(scene))
