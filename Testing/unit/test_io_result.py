"""The folder that a registration leaves behind, read back file by file."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ElasticHyperRegLib import Displacement, Image, InputError, LabelMap, read_image, read_labels
from ElasticHyperRegLib.engine.request import RegistrationRequest, RegistrationResult
from ElasticHyperRegLib.io import OutputFolder, read_transform, transform_displacement, write_result
from ElasticHyperRegLib.io.result import RESULT_FILES, finite_only, write_json

METRICS = {
    "ncc": {"before": 0.5, "after": float("nan")},
    "mean_dice": {"before": float("nan"), "after": float("nan")},
    "folds_fraction": np.float32(0.25),
    "elasticity": {"lung": [0.05, 0.1], "bone": (0.1, float("inf"))},
    "tre_mm": None,
    "seconds": {"load": 1.0, "total": 3.0},
}


@pytest.fixture
def result(oblique_grid) -> RegistrationResult:
    grid = oblique_grid((8, 10, 12))
    data = torch.randn(1, 1, *grid.shape) * 300
    labels = LabelMap((data > 0).int() + (data > 300).int(), grid)
    shift = torch.tensor([1.0, -2.0, 0.5]).view(1, 3, 1, 1, 1).expand(1, 3, *grid.shape).clone()
    return RegistrationResult(
        request=RegistrationRequest(Image(data, grid), Image(data, grid), labels, labels),
        initial=np.eye(4),
        displacement=Displacement(shift, grid),
        inverse=Displacement(-shift, grid),
        warped=Image(data, grid, "warped", dtype="int16"),
        warped_labels=labels,
        jacobian=torch.ones(1, 1, *grid.shape),
        metrics=METRICS,
        stopped="converged",
    )


def test_every_file_is_there_and_holds_what_it_should(tmp_path, result):
    with OutputFolder(tmp_path / "out", RESULT_FILES) as folder:
        returned = write_result(result, folder, {"seed": 7, "out": Path("out"), "refine": None})
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == set(RESULT_FILES)
    grid = result.displacement.grid
    warped = read_image(out / "warped.nii.gz")
    assert torch.equal(warped.data, result.warped.data.round())
    assert warped.dtype == "int16"
    assert warped.grid.same_as(grid)
    assert torch.equal(read_labels(out / "warped_labels.nii.gz").data, result.warped_labels.data)
    jacobian = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "jacobian.nii.gz")))
    assert (jacobian == 1).all()
    for name, truth in (("transform.h5", result.displacement), ("inverse.h5", result.inverse)):
        again = transform_displacement(read_transform(out / name), grid)
        torch.testing.assert_close(again.u_mm, truth.u_mm, atol=1e-4, rtol=0)
    assert json.loads((out / "request.json").read_text()) == {
        "seed": 7,
        "out": "out",
        "refine": None,
    }
    assert json.loads((out / "metrics.json").read_text()) == returned
    assert (out / "preview.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_that_do_not_apply_are_absent(tmp_path, result):
    (tmp_path / "out").mkdir()
    metrics = write_result(result, tmp_path / "out", {})
    assert metrics["ncc"] == {"before": 0.5}
    assert "mean_dice" not in metrics
    assert "tre_mm" not in metrics
    assert metrics["elasticity"] == {"lung": [0.05, 0.1]}
    assert metrics["seconds"]["write"] > 0
    assert metrics["seconds"]["total"] == pytest.approx(3 + metrics["seconds"]["write"])


def test_without_moving_labels_there_are_no_warped_ones(tmp_path, result):
    write_result(replace(result, warped_labels=None), tmp_path, {})
    assert not (tmp_path / "warped_labels.nii.gz").exists()


def test_too_little_space_writes_nothing(tmp_path, result, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 1000))
    with (
        pytest.raises(InputError, match="MiB needed"),
        OutputFolder(tmp_path / "out", RESULT_FILES) as folder,
    ):
        write_result(result, folder, {})
    assert list(tmp_path.iterdir()) == []


def test_json_never_holds_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json({"x": float("nan")}, tmp_path / "a.json")
    with pytest.raises(TypeError, match="no place in a JSON record"):
        write_json({"x": object()}, tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()
    assert finite_only({"a": {"b": np.nan}, "c": [1, np.inf], "d": 0, "e": ""}) == {"d": 0, "e": ""}
