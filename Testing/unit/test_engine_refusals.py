"""What the engine refuses before it begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import (
    Grid,
    Image,
    InputError,
    LabelMap,
    RegistrationOptions,
    RegistrationRequest,
    register,
)
from ElasticHyperRegLib.engine import check
from ElasticHyperRegLib.engine.check import check_options, check_request, pick_device
from ElasticHyperRegLib.engine.prepare import initial_alignment, prepare
from ElasticHyperRegLib.grid import resample
from Testing.unit.small_pair import SHIFT, small_request

QUICK = RegistrationOptions(initial="none", refine=3, device="cpu")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"model": "hyper"}, "no model hyper; expected a folder with a card.json, or one of: "),
        ({"device": "tpu"}, "device 'tpu'; expected auto, cpu or cuda"),
        ({"refine": -1}, "-1 iterations; expected 0 to 1000000"),
        ({"seed": -1}, "seed -1"),
        ({"initial": "deformable"}, "alignment 'deformable'; expected none, translation"),
        ({"initial": ((1.0, 0.0), (0.0, 1.0))}, r"shape \(2, 2\); expected an invertible 4×4"),
        ({"initial": tuple(map(tuple, np.diag([-1.0, 1, 1, 1])))}, "without a reflection"),
        ({"initial": tuple(map(tuple, np.eye(4) + np.eye(4, k=-3)))}, "last row 0 … 0 1"),
    ],
)
def test_options_that_cannot_be(option, words):
    with pytest.raises(InputError, match=words):
        check_options(replace(QUICK, **option))


def test_cuda_needs_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(InputError, match="'cuda', but PyTorch sees no CUDA GPU; use the device"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(check, "_fault_of_cuda", lambda: "")
    assert pick_device("auto").type == "cuda"
    assert pick_device("cpu").type == "cpu"


@pytest.mark.parametrize(
    ("fault", "device"),
    [
        ("no kernel image is available for execution on the device", "cpu"),
        ("CUDA-capable device(s) is/are busy or unavailable", "cpu"),
        ("out of memory", "cuda"),  # for which there is a way back later
    ],
)
def test_a_gpu_that_does_not_compute_is_not_taken(monkeypatch, caplog, fault, device):
    def ones(*shape: int, **how: object) -> None:
        raise RuntimeError(f"CUDA error: {fault}\nmore")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", ones)
    assert pick_device("auto").type == device
    if device == "cpu":
        assert caplog.messages == [
            f"computes on the processor, not on the GPU: CUDA error: {fault}"
        ]
        with pytest.raises(InputError, match=r"'cuda', but CUDA error: [^\n]*; use the device cpu"):
            pick_device("cuda")


def elsewhere(labels: LabelMap) -> LabelMap:
    matrix = labels.grid.ijk_to_ras.copy()
    matrix[:3, 3] += 5
    return replace(labels, grid=Grid(labels.grid.shape, matrix))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: {"fixed": replace(r.fixed, data=r.fixed.data * 0)}, "fixed, the same everywh"),
        (lambda r: {"moving": replace(r.moving, data=r.moving.data / 0)}, "moving with NaN"),
        (lambda r: {"moving": small_request(dim=2).moving}, "a 3D fixed and a 2D moving"),
        (lambda r: {"fixed_labels": elsewhere(r.fixed_labels)}, "fixed labels .* on a grid of"),
        (lambda r: {"moving_labels": r.fixed_labels}, "moving labels .* same scan"),
        (lambda r: {"moving_mask": r.fixed_labels}, "moving mask .* same scan"),
        (
            lambda r: {"fixed_mask": replace(r.fixed_labels, data=r.fixed_labels.data * 0)},
            "fixed mask .* 0 everywhere",
        ),
        (lambda r: {"moving_points": None}, "4 fixed and 0 moving landmarks"),
        (lambda r: {"moving_points": r.moving_points[1:]}, "4 fixed and 3 moving landmarks"),
        (lambda r: {"fixed_points": r.fixed_points + 900}, "fixed landmarks of which none"),
        (lambda r: {"fixed_points": r.fixed_points[:, :2]}, "fixed landmarks of shape"),
        (lambda r: {"moving_points": r.moving_points * np.nan}, "moving landmarks with NaN"),
    ],
)
def test_requests_that_cannot_be(change, words):
    request = small_request()
    with pytest.raises(InputError, match=words):
        register(replace(request, **change(request)))


def test_too_thin_a_volume():
    def image_of(*shape: int) -> Image:
        return Image(torch.randn(1, 1, *shape), Grid(shape, np.eye(4)), "scan")

    thin = image_of(3, 20, 20)
    with pytest.raises(InputError, match="20×20×3 voxels; expected at least 4"):
        check_request(RegistrationRequest(thin, thin))
    smallest = image_of(4, 4, 4)
    assert register(RegistrationRequest(smallest, smallest, options=QUICK)).metrics["ncc"]


def test_a_thin_slab_within_the_fixed_image_meets_it():
    request = small_request(options=QUICK)
    fixed = request.fixed
    matrix = fixed.grid.ijk_to_ras.copy()
    matrix[:3, 2] *= 0.3
    for shift in np.linspace(5, 9, 9):
        matrix[:3, 3] = (fixed.grid.ijk_to_ras @ [0, 0, shift, 1])[:3]
        grid = Grid((5, *fixed.grid.shape[1:]), matrix)
        slab = Image(resample(fixed.data, fixed.grid, grid), grid, "slab")
        thin = replace(request, moving=slab, moving_labels=None, moving_points=None)
        initial_alignment(replace(thin, fixed_points=None), prepare(thin), lambda: False)


def test_images_that_nowhere_meet():
    request = small_request(options=QUICK)
    matrix = request.moving.grid.ijk_to_ras.copy()
    matrix[:3, 3] += 500
    away = Image(request.moving.data, Grid(request.moving.grid.shape, matrix), "away")
    far = replace(request, moving=away, moving_labels=None, moving_points=None, fixed_points=None)
    with pytest.raises(InputError, match="fixed and away, which nowhere overlap"):
        register(far)
    met = replace(far, options=replace(QUICK, initial="translation"))
    matrix = initial_alignment(met, prepare(met), lambda: False)
    assert matrix[:3, 3] == pytest.approx(500 + SHIFT, abs=6)


def test_a_mask_outside_the_field_of_view():
    request = small_request()
    data = request.fixed.data.clone()
    data[:, :, :4] = -3024
    mask = torch.zeros_like(request.fixed_labels.data)
    mask[:, :, :3] = 1
    blind = replace(
        request,
        fixed=replace(request.fixed, data=data),
        fixed_mask=replace(request.fixed_labels, data=mask),
    )
    with pytest.raises(InputError, match="outside the field of view of fixed"):
        prepare(blind)
