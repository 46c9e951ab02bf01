"""The real session under the controller: nodes in, sliders, files and nodes out."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ElasticHyperRegLib import Elasticity, RegistrationOptions, RegistrationRequest, register
from ElasticHyperRegLib.cli.pair import Job, PairFiles, register_files
from ElasticHyperRegLib.cli.settings import Settings
from ElasticHyperRegLib.io import apply_to_points, read_image, read_transform
from ElasticHyperRegLib.mrml import (
    ControllerOptions,
    Exported,
    Failed,
    LiveController,
    Measured,
    Updated,
    Written,
    image_from_node,
    labels_from_node,
    node_from_image,
    node_from_labels,
)
from ElasticHyperRegLib.mrml.arrays import image_array
from ElasticHyperRegLib.mrml.labels import as_tissues
from Testing.unit.small_pair import small_request, write_pair

FEW = 5
NAMES = {"fixed.nii.gz": "CT 1", "moving.nii.gz": "CT 2"}
PLACES = ("out", "truth")
DEFAULT = Elasticity(0.05, 0.15)
SETTING = {"body": Elasticity(0.1, 0.3), "organ": Elasticity(0.05, 0.6)}


def until(controller, kind, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for event in controller.poll():
            assert not isinstance(event, Failed), event.message
            if isinstance(event, kind) and getattr(event, "final", True):
                return event
        time.sleep(0.005)
    raise AssertionError(f"no {kind.__name__} within {seconds} s; {controller.status}")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A prepared pair with a setting that rests."""
    import slicer

    scene = slicer.vtkMRMLScene()
    request = small_request()
    folder = tmp_path_factory.mktemp("pair")
    write_pair(folder)  # files round the geometry to 32 bits
    nodes = (
        *(node_from_image(scene, read_image(folder / f), n) for f, n in NAMES.items()),
        node_from_labels(scene, request.fixed_labels, "tissues 1", {"body": (9, 8, 7)}),
        node_from_labels(scene, request.moving_labels, "tissues 2"),
    )
    controller = LiveController(
        scene, *nodes, options=ControllerOptions(model="none", refine=FEW, measure_at_rest=False)
    )
    controller.start()
    for tissue, value in SETTING.items():
        controller.set_elasticity(tissue, value.lam, value.mu)
    until(controller, Updated)
    yield controller
    controller.close()
    scene.Clear(1)


def same_request(controller) -> RegistrationRequest:
    """What the command line would be asked for the same nodes."""
    nodes = controller._nodes
    fixed, moving = image_from_node(nodes["fixed"]), image_from_node(nodes["moving"])
    labels = labels_from_node(nodes["labels"], fixed)
    values = {row.name: Elasticity(row.lam, row.mu) for row in controller.tissues}
    return RegistrationRequest(
        fixed,
        moving,
        labels,
        as_tissues(labels_from_node(nodes["moving_labels"], moving), like=labels),
        options=RegistrationOptions(tissues=values, model="none", refine=FEW),
    )


def test_the_pair_is_registered_live(pair):
    pair.measure()
    quality = until(pair, Measured).quality
    for row in quality.tissues:
        assert row.dice[1] > row.dice[0] and row.dice[1] > 0.8, row
        assert row.hd95_mm[1] < row.hd95_mm[0], row
    forces = [SETTING[row.name].mu * row.strain for row in quality.tissues]
    assert min(forces) > 0
    assert [row.stress for row in quality.tissues] == pytest.approx(
        [force / max(forces) for force in forces]
    )
    assert [row.residual for row in quality.tissues] == [None, None], "nowhere five voxels thick"
    assert quality.folds_fraction == 0
    assert quality.inverse_consistency_mm["p95"] < 1


def test_exported_files_are_those_of_the_command_line(pair, tmp_path):
    write_pair(tmp_path)
    values = tuple(
        f"{name}={e.lam},{e.mu}"
        for name, e in {"1": SETTING["body"], "2": SETTING["organ"], "background": DEFAULT}.items()
    )
    files = PairFiles(
        *(tmp_path / f"{side}.nii.gz" for side in ("fixed", "moving")),
        *(tmp_path / f"{side}_labels.nrrd" for side in ("fixed", "moving")),
    )
    settings = Settings(elasticity=values, model="none", refine=FEW)
    truth = register_files(Job(files, settings, tmp_path / "truth"))
    pair.export(tmp_path / "out")
    folder = until(pair, Exported).folder
    for name in ("warped", "warped_labels", "jacobian"):
        ours, theirs = (sitk.ReadImage(str(tmp_path / d / f"{name}.nii.gz")) for d in PLACES)
        assert np.array_equal(*map(sitk.GetArrayFromImage, (ours, theirs))), name
        assert ours.GetDirection() == theirs.GetDirection()
    for name in ("transform", "inverse"):
        ours, theirs = (read_transform(tmp_path / d / f"{name}.h5") for d in PLACES)
        points = np.array(small_request().fixed_points)
        assert np.array_equal(apply_to_points(ours, points), apply_to_points(theirs, points)), name
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["mean_dice"] == truth["mean_dice"]
    record = json.loads((folder / "request.json").read_text())
    assert record["options"]["elasticity"]["organ"] == [0.05, 0.6]
    assert record["inputs"]["fixed_labels"]["source"] == "tissues 1"


def test_a_folder_in_use_is_refused(pair, tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    pair.export(tmp_path)
    with pytest.raises(AssertionError, match="is not empty"):
        until(pair, Exported)
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_outputs_stand_in_the_scene(pair):
    pair.write_outputs()
    nodes = until(pair, Written).nodes
    truth = register(same_request(pair))
    scene = pair.scene
    found = {name: scene.GetNodeByID(key) for name, key in nodes.items()}
    assert set(found) == {"transform", "inverse", "warped", "warped_labels", "jacobian"}
    warped = image_from_node(found["warped"])
    assert warped.grid.same_as(truth.warped.grid, 1e-6)
    assert torch.equal(warped.data, truth.warped.data.round())
    grid = found["transform"].GetTransformFromParent().GetDisplacementGrid()
    assert np.array_equal(image_array(grid), truth.displacement.u_mm[0].movedim(0, -1).numpy())
    jacobian = image_array(found["jacobian"].GetImageData())
    assert np.array_equal(jacobian, truth.jacobian[0, 0].numpy())
    labels = labels_from_node(found["warped_labels"], truth.warped.grid)
    assert truth.warped_labels is not None
    assert torch.equal(labels.data, truth.warped_labels.data)
    count = scene.GetNumberOfNodes()
    pair.write_outputs()
    assert until(pair, Written).nodes == nodes
    assert scene.GetNumberOfNodes() == count


def test_fixed_points_land_by_the_transform_and_return_by_the_inverse(pair):
    pair.write_outputs()
    nodes = until(pair, Written).nodes
    forth, back = (pair.scene.GetNodeByID(nodes[name]) for name in ("transform", "inverse"))
    start = np.array(small_request().fixed_points)
    there = [forth.GetTransformFromParent().TransformPoint(p) for p in start]
    again = [back.GetTransformFromParent().TransformPoint(p) for p in there]
    assert np.abs(np.array(there) - start).max() > 2
    assert np.allclose(again, start, atol=0.1)
