"""What somebody else does to the nodes of a live pair, and what the pair says and leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ElasticHyperRegLib import InputError, RegistrationOptions, register
from ElasticHyperRegLib.mrml import (
    Closed,
    Estimated,
    Failed,
    LiveController,
    Ready,
    Status,
    image_from_node,
    new_pair_node,
    node_from_labels,
    pair_nodes,
)
from ElasticHyperRegLib.mrml.arrays import image_array, touched
from ElasticHyperRegLib.mrml.fingerprint import fingerprint
from ElasticHyperRegLib.mrml.geometry import matrix_to_vtk
from ElasticHyperRegLib.mrml.glyph_style import GlyphStyle
from ElasticHyperRegLib.mrml.outputs import WRITTEN, OutputNodes, sources_of
from Testing.mrml.fake_session import FakeSession
from Testing.mrml.live_pair import OPTIONS, ready, until
from Testing.mrml.scene_files import load, save
from Testing.unit.small_pair import small_request


def bed_of(scene, node, z_mm: float = 30.0):
    bed = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "bed")
    shift = np.eye(4)
    shift[2, 3] = z_mm
    bed.SetMatrixTransformToParent(matrix_to_vtk(shift))
    node.SetAndObserveTransformNodeID(bed.GetID())
    return bed


def warnings(controller) -> list[str]:
    return [e.text for e in controller.poll() if isinstance(e, Status) and e.warning]


def layers(scene) -> set[str | None]:
    views = scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")
    return {
        scene.GetNthNodeByClass(n, "vtkMRMLSliceCompositeNode").GetLabelVolumeID()
        for n in range(views)
    }


def test_saving_the_scene_is_no_change_of_its_volumes(scene, nodes, tmp_path):
    controller = ready(scene, nodes)
    save(scene, tmp_path / "scene.mrml")
    assert warnings(controller) == []
    nodes[2].GetSegmentation().GetNthSegment(0).SetName("other")
    assert warnings(controller) == [
        f"{nodes[2].GetName()} was changed; start again to use it as it is now"
    ]


def test_a_moved_bed_is_told(scene, nodes):
    bed = bed_of(scene, nodes[1])
    controller = ready(scene, nodes)
    assert warnings(controller) == []
    bed.SetMatrixTransformToParent(matrix_to_vtk(np.eye(4)))
    assert warnings(controller) == ["CT 2 was changed; start again to use it as it is now"]


def test_a_volume_taken_out_of_the_live_transform_is_told_once(scene, nodes):
    controller = ready(scene, nodes)
    nodes[1].SetAndObserveTransformNodeID(None)
    assert warnings(controller) == [
        "CT 2 was taken out of the live transform; start again to use it as it is now"
    ]
    assert warnings(controller) == []
    controller.close()
    assert nodes[1].GetParentTransformNode() is None


@pytest.mark.parametrize("lost", ["fixed", "transform"])
def test_what_was_drawn_goes_with_a_deleted_node(scene, nodes, lost):
    view = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    bed = bed_of(scene, nodes[1])
    controller = ready(scene, nodes)
    display = controller.display
    display.set_glyphs(GlyphStyle("arrows", 20.0))
    display.set_jacobian(True)
    assert view.GetLabelVolumeID() is not None
    glyphs = display.glyph_node
    scene.RemoveNode(nodes[0] if lost == "fixed" else display.transform_node)
    until(controller, Closed)
    assert not any(glyphs.GetNthDisplayNode(n).GetVisibility() for n in (0, 1))
    assert layers(scene) == {None}
    assert nodes[1].GetParentTransformNode() is bed


def test_a_fixed_volume_that_an_earlier_session_left_warped_is_put_back(scene, nodes, tmp_path):
    bed_of(scene, nodes[1])
    controller = ready(scene, nodes)
    controller.store(new_pair_node(scene))
    save(scene, tmp_path / "scene.mrml")
    fresh = type(scene)()
    load(fresh, tmp_path / "scene.mrml")
    state = pair_nodes(fresh)[0]
    loaded = LiveController.from_state(fresh, state, FakeSession)._nodes
    moving = loaded["moving"]
    assert moving.GetParentTransformNode().GetName() != "bed"
    swapped = ready(fresh, (moving, loaded["fixed"], loaded["moving_labels"], loaded["labels"]))
    assert moving.GetParentTransformNode().GetName() == "bed"
    assert loaded["moving_labels"].GetParentTransformNode() is None
    swapped.close()
    fresh.Clear(1)


def test_a_second_result_stands_right_whatever_was_done_to_the_first(scene, nodes):
    result = register(small_request(options=RegistrationOptions(model="none", initial="none")))
    outputs = OutputNodes(scene, scene.AddNewNodeByClass("vtkMRMLGridTransformNode"))
    first = outputs.write(result, {})
    for node in first.values():
        bed_of(scene, node)
    again = outputs.write(result, {})
    assert again == first
    for node in again.values():
        assert node.GetParentTransformNode() is None
    assert image_from_node(again["warped"]).grid.same_as(result.request.fixed.grid, 1e-6)


def begun(scene, *nodes) -> Any:
    """A ``LiveController`` that has read its nodes."""
    return LiveController(scene, *nodes, options=OPTIONS)


def label_map_node(scene, labels, name: str):
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    values = labels.data.numpy()[0, 0].astype(np.int16)
    image = vtkImageData()
    image.SetDimensions(*values.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(values.ravel(), deep=True))
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(matrix_to_vtk(labels.grid.ijk_to_ras))
    return node


def test_segments_are_not_paired_with_the_numbers_of_a_label_map(scene, nodes):
    numbers = label_map_node(scene, small_request().moving_labels, "numbers")
    with pytest.raises(InputError, match="numbers, a label map without names, beside a segment"):
        begun(scene, *nodes[:3], numbers)


def test_tissues_are_matched_whatever_their_case(scene, nodes):
    request = small_request()
    moving = request.moving_labels
    for number, name in moving.names.items():
        moving.names[number] = name.upper()
    loud = node_from_labels(scene, moving, "loud")
    inputs = begun(scene, *nodes[:3], loud)._inputs
    assert inputs.moving_labels.names == inputs.labels.names


def test_other_tissues_may_be_warped_along(scene, nodes):
    moving = small_request().moving_labels
    for number in moving.names:
        moving.names[number] = f"tumour {number}"
    inputs = begun(scene, *nodes[:3], node_from_labels(scene, moving, "tumours"))._inputs
    assert set(moving.names.values()) < set(inputs.moving_labels.names.values())


def test_an_edit_that_is_saved_at_once_is_told_of_a_volume(scene, nodes, tmp_path):
    controller = ready(scene, nodes)
    touched(nodes[0].GetImageData())
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(tmp_path / "edited.nrrd"))
    nodes[0].SetAndObserveStorageNodeID(storage.GetID())
    assert storage.WriteData(nodes[0])
    assert warnings(controller) == ["CT 1 was changed; start again to use it as it is now"]


def test_one_kind_of_work_is_cancelled_alone(scene, nodes):
    controller = ready(scene, nodes)
    session = FakeSession.made[-1]
    session.gate.clear()
    session.hold_sensitivity = True
    controller.estimate()
    controller.sensitivity()
    controller.cancel("sensitivity")
    _, events = until(controller, Failed)
    session.gate.set()
    events += until(controller, Estimated)[1]
    assert [e.what for e in events if isinstance(e, Failed)] == ["sensitivity"]


def written(scene, anchor, *kept) -> dict[str, Any]:
    result = register(small_request(options=RegistrationOptions(model="none", initial="none")))
    return OutputNodes(scene, anchor, kept).write(result, {})


def test_what_the_user_made_of_earlier_results_stays(scene, tmp_path):
    anchor = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "live")
    first = written(scene, anchor)
    first["warped"].SetName("setting A")
    labels = first["warped_labels"]
    labels.GetSegmentation().GetNthSegment(0).SetName("by hand")
    array = image_array(first["jacobian"].GetImageData())
    array[0, 0, 0] = 7
    second = written(scene, anchor, first["inverse"])
    same = {what for what in first if first[what] is second[what]}
    assert same == {"transform"}
    assert labels.GetSegmentation().GetNthSegment(0).GetName() == "by hand"
    assert second["warped"].GetName() not in {"setting A", ""}
    assert written(scene, anchor) == second, "what nobody touched is written again"


def test_a_loaded_result_is_known_again(scene, tmp_path):
    anchor = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "live")
    first = written(scene, anchor)
    kept = {what: (node.GetAttribute(WRITTEN), node.GetID()) for what, node in first.items()}
    save(scene, tmp_path / "scene.mrml")
    fresh = type(scene)()
    load(fresh, tmp_path / "scene.mrml")
    for what, (told, key) in kept.items():
        assert fingerprint(fresh.GetNodeByID(key)) == told, what
    fresh.Clear(1)


def test_one_node_on_both_sides_is_refused(scene, nodes):
    with pytest.raises(InputError, match="as fixed and as moving tissues; expected two"):
        begun(scene, *nodes[:2], nodes[2], nodes[2])


def test_what_stands_elsewhere_than_its_file_is_told(scene, nodes, tmp_path):
    bed_of(scene, nodes[1])
    controller = LiveController(scene, *nodes, options=OPTIONS)
    controller.start()
    event, _ = until(controller, Ready)
    assert [line[:21] for line in event.notes if "CT" in line] == ["CT 2 stands under bed"]
    told = sources_of(controller._nodes)
    assert "placement" not in told["fixed"]
    assert told["moving"]["placement"][2] == [0, 0, 1, 30]
    controller.close()


def test_labels_that_fall_to_the_rest_are_told(scene, nodes):
    options = replace(OPTIONS, scheme="thorax-ct")
    controller = LiveController(scene, *nodes, options=options)
    controller.start()
    event, _ = until(controller, Ready)
    assert any("taken for soft_tissue" in line for line in event.notes)
    controller.close()


def test_what_was_put_beside_a_carried_volume_goes_back_with_it(scene, nodes):
    bed = bed_of(scene, nodes[1])
    controller = ready(scene, nodes)
    dose = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "dose")
    dose.SetAndObserveTransformNodeID(nodes[1].GetParentTransformNode().GetID())
    controller.close()
    assert nodes[1].GetParentTransformNode() is bed
    assert dose.GetParentTransformNode() is bed
