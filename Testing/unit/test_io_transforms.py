"""Transforms on disk do to points and images what the displacement does in memory."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ElasticHyperRegLib import Displacement, Grid, InputError
from ElasticHyperRegLib.field import jacobian_determinant, transform_points, warp
from ElasticHyperRegLib.field.warp import moving_positions
from ElasticHyperRegLib.grid import apply_matrix, gaussian_smooth, voxel_points
from ElasticHyperRegLib.io import (
    apply_to_points,
    covered,
    covers_points,
    read_initial,
    read_transform,
    to_sitk,
    transform_displacement,
    transforms,
    write_inverse,
    write_transform,
)


@dataclass
class Case:
    """A whole map between two oblique grids in different frames: T = A ∘ (id + d)."""

    fixed: Grid
    moving: Grid
    initial: np.ndarray
    u_mm: torch.Tensor

    @property
    def displacement(self) -> Displacement:
        return Displacement(self.u_mm, self.fixed)

    def inner_points(self, count: int = 40) -> np.ndarray:
        """Random points of the fixed image, RAS."""
        voxels = np.random.default_rng(3).uniform(1, np.array(self.fixed.size) - 2, (count, 3))
        return voxels @ self.fixed.ijk_to_ras[:3, :3].T + self.fixed.origin


def middle(grid: Grid) -> np.ndarray:
    return (grid.ijk_to_ras @ np.append((np.array(grid.size) - 1) / 2, 1))[: grid.ndim]


@pytest.fixture
def case(oblique_grid) -> Case:
    fixed = oblique_grid((14, 18, 20), (1.4, 1.1, 2.5), 25)
    moving = oblique_grid((24, 30, 28), (1.5, 1.2, 1.9), -10)
    initial = np.eye(4)
    initial[:3, :3] = [[0.99, -0.1, 0.02], [0.12, 1.02, 0.0], [0.0, 0.05, 1.05]]
    initial[:3, 3] = middle(moving) - initial[:3, :3] @ middle(fixed)
    points = apply_matrix(np.array(fixed.ijk_to_ras), voxel_points(fixed.shape, torch.zeros(1)))
    elastic = gaussian_smooth(torch.randn(1, 3, *fixed.shape), (2.0, 2.0, 2.0))
    elastic = elastic / elastic.abs().max() * 3
    u_mm = apply_matrix(initial, points + elastic) - points
    return Case(fixed, moving, initial, u_mm)


def test_the_file_resamples_as_the_field_warps(tmp_path, case):
    """What other programs do with transform.h5 is our ``warp``."""
    moving = gaussian_smooth(torch.randn(1, 1, *case.moving.shape), (1.0, 1.0, 1.0)) * 100
    write_transform(case.displacement, case.initial, tmp_path / "transform.h5")
    ours = warp(moving, case.u_mm, case.fixed, case.moving)
    theirs = sitk.Resample(
        to_sitk(moving, case.moving),
        to_sitk(ours, case.fixed),
        sitk.ReadTransform(str(tmp_path / "transform.h5")),
        sitk.sitkLinear,
    )
    positions = moving_positions(case.u_mm, case.fixed, case.moving)[0].numpy()
    last = np.array(case.moving.size).reshape(3, 1, 1, 1) - 1
    inside = ((positions >= 0) & (positions <= last)).all(axis=0)
    assert inside.mean() > 0.9
    difference = sitk.GetArrayFromImage(theirs) - ours[0, 0].numpy()
    assert np.abs(difference[inside]).max() < 1e-3 * ours.std()


def test_the_file_sends_fixed_points_to_moving_points(tmp_path, case):
    write_transform(case.displacement, case.initial, tmp_path / "transform.h5")
    points = case.inner_points()
    theirs = apply_to_points(read_transform(tmp_path / "transform.h5"), points)
    np.testing.assert_allclose(theirs, transform_points(points, case.u_mm, case.fixed), atol=1e-3)


def test_outside_the_fixed_grid_the_alignment_acts_alone(tmp_path, case):
    write_transform(case.displacement, case.initial, tmp_path / "transform.h5")
    far = case.inner_points() + 900
    theirs = apply_to_points(read_transform(tmp_path / "transform.h5"), far)
    aligned = far @ case.initial[:3, :3].T + case.initial[:3, 3]
    np.testing.assert_allclose(theirs, aligned, atol=1e-6)


def test_the_inverse_file_sends_moving_points_back(tmp_path, case):
    """A map with a closed-form inverse: everything affine, the inverse a whole field."""
    bent = case.initial.copy()
    bent[:3, :3] = bent[:3, :3] @ np.diag([1.1, 0.9, 1.0])
    bent[:3, 3] += (1, -2, 0.5)
    points = apply_matrix(
        np.array(case.moving.ijk_to_ras), voxel_points(case.moving.shape, torch.zeros(1))
    )
    inverse = Displacement(apply_matrix(np.linalg.inv(bent), points) - points, case.moving)
    write_inverse(inverse, case.initial, tmp_path / "inverse.h5")
    transform = read_transform(tmp_path / "inverse.h5")
    moving = np.stack([middle(case.moving) + (n, -n, n) for n in range(5)])
    back = np.linalg.inv(bent)
    np.testing.assert_allclose(
        apply_to_points(transform, moving), moving @ back[:3, :3].T + back[:3, 3], atol=1e-3
    )
    far, alone = moving + 900, np.linalg.inv(case.initial)
    np.testing.assert_allclose(
        apply_to_points(transform, far), far @ alone[:3, :3].T + alone[:3, 3], atol=1e-6
    )


def test_a_field_is_sampled_back_from_its_file(tmp_path, case):
    write_transform(case.displacement, case.initial, tmp_path / "transform.h5")
    again = transform_displacement(read_transform(tmp_path / "transform.h5"), case.fixed)
    torch.testing.assert_close(again.u_mm, case.u_mm, atol=1e-3, rtol=0)
    assert float(jacobian_determinant(again.u_mm, case.fixed).min()) > 0


def test_flat_maps_are_written_too(tmp_path, oblique_grid):
    grid = oblique_grid((9, 11), (1.5, 2.0))
    shift = torch.tensor([2.0, -3.0]).view(1, 2, 1, 1).expand(1, 2, 9, 11)
    write_transform(Displacement(shift, grid), np.eye(3), tmp_path / "flat.h5")
    point = grid.ijk_to_ras[:2, :2] @ (4, 5) + grid.origin
    moved = apply_to_points(read_transform(tmp_path / "flat.h5"), point[None])
    np.testing.assert_allclose(moved, [point + (2, -3)], atol=1e-4)


@pytest.mark.parametrize("suffix", [".tfm", ".txt", ".mat", ".h5"])
def test_linear_files_are_read_as_ras_matrices(tmp_path, suffix):
    """ITK's translation by (1, 2, 3) LPS is (−1, −2, 3) RAS; a turn about z is the same turn."""
    rigid = sitk.Euler3DTransform((5, 6, 7), 0, 0, 0.3, (1, 2, 3))
    sitk.WriteTransform(rigid, str(tmp_path / f"rigid{suffix}"))
    matrix = read_initial(tmp_path / f"rigid{suffix}")
    c, s = np.cos(0.3), np.sin(0.3)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    np.testing.assert_allclose(matrix[:3, :3], turn, atol=1e-12)
    centre = np.array([-5, -6, 7])
    np.testing.assert_allclose(matrix[:3, 3], centre - turn @ centre + (-1, -2, 3), atol=1e-12)


def test_a_chain_of_linear_transforms_is_linear(tmp_path):
    scale = sitk.ScaleTransform(3, (1.0, 2.0, 3.0))
    chain = sitk.CompositeTransform([sitk.TranslationTransform(3, (1, 0, 0)), scale])
    sitk.WriteTransform(chain, str(tmp_path / "chain.tfm"))
    expected = np.diag([1.0, 2, 3, 1])
    expected[0, 3] = -1
    np.testing.assert_allclose(read_initial(tmp_path / "chain.tfm"), expected)


def test_an_initial_alignment_must_be_linear_and_invertible(tmp_path, case):
    write_transform(case.displacement, case.initial, tmp_path / "bent.h5")
    with pytest.raises(InputError, match="linear transform as initial"):
        read_initial(tmp_path / "bent.h5")
    sitk.WriteTransform(sitk.ScaleTransform(3, (1, 1, -1)), str(tmp_path / "mirror.tfm"))
    with pytest.raises(InputError, match="mirrors"):
        read_initial(tmp_path / "mirror.tfm")
    sitk.WriteTransform(sitk.Euler2DTransform(), str(tmp_path / "flat.tfm"))
    with pytest.raises(InputError, match="a 2D transform; expected a 3D one"):
        read_initial(tmp_path / "flat.tfm")


@pytest.mark.parametrize(("intent", "sign"), [(1006, (1, 1, 1)), (1007, (-1, -1, 1))])
def test_nifti_fields_are_ras_or_lps_by_their_intent(tmp_path, intent, sign):
    vectors = np.tile(np.array([1, 2, 3], np.float32), (5, 6, 7, 1, 1))
    field = nib.Nifti1Image(vectors, np.diag([2.0, 2, 2, 1]))
    field.header["intent_code"] = intent
    nib.save(field, tmp_path / "field.nii.gz")
    moved = apply_to_points(read_transform(tmp_path / "field.nii.gz"), np.array([[4.0, 4, 4]]))
    np.testing.assert_allclose(moved, [4 + np.array([1.0, 2, 3]) * sign])


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_other_field_images_hold_lps_vectors(tmp_path, suffix):
    field = sitk.GetImageFromArray(
        np.tile(np.array([1, 2, 3], np.float32), (5, 6, 7, 1)), isVector=True
    )
    sitk.WriteImage(field, str(tmp_path / f"field{suffix}"))
    moved = apply_to_points(read_transform(tmp_path / f"field{suffix}"), np.array([[-2.0, -2, 2]]))
    np.testing.assert_allclose(moved, [[-3, -4, 5]])


def test_what_is_no_transform_is_refused(tmp_path, case, capfd):
    write_transform(case.displacement, case.initial, tmp_path / "whole.h5")
    whole = (tmp_path / "whole.h5").read_bytes()
    scalar = sitk.GetImageFromArray(np.zeros((4, 5, 6), np.float32))
    sitk.WriteImage(scalar, str(tmp_path / "scan.nii.gz"))
    holes = np.zeros((4, 5, 6, 3))
    holes[0, 0, 0] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(holes, isVector=True), str(tmp_path / "holes.nrrd"))
    sitk.WriteTransform(sitk.TranslationTransform(3, (1.0, np.nan, 0.0)), str(tmp_path / "nan.tfm"))
    field = sitk.Cast(sitk.GetImageFromArray(holes, isVector=True), sitk.sitkVectorFloat64)
    sitk.WriteTransform(sitk.DisplacementFieldTransform(field), str(tmp_path / "holes.h5"))
    for name, content in {
        "short.h5": whole[: len(whole) // 2],
        "rubbish.h5": b"rubbish" * 50,
        "empty.tfm": b"",
        "rubbish.tfm": b"rubbish",
        "elastix.txt": b'(Transform "EulerTransform")\n',
        "rubbish.mat": b"rubbish" * 50,
    }.items():
        (tmp_path / name).write_bytes(content)
    names = [path.name for path in tmp_path.iterdir() if path.name != "whole.h5"]
    for name in [*names, "missing.h5"]:
        with pytest.raises(InputError) as caught:
            read_transform(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_transform_and_its_grid_share_their_dimension(case):
    with pytest.raises(InputError, match="2D transform"):
        transform_displacement(sitk.Euler2DTransform(), case.fixed)


def test_a_file_of_several_transforms_is_refused(tmp_path, capfd):
    (tmp_path / "one").mkdir()
    texts = []
    for number, offset in enumerate(((1.0, 0, 0), (0, 5.0, 0))):
        sitk.WriteTransform(sitk.TranslationTransform(3, offset), str(tmp_path / "one" / "a.tfm"))
        head, text = (tmp_path / "one" / "a.tfm").read_text().split("\n", 1)
        texts.append(text.replace("Transform 0", f"Transform {number}"))
    (tmp_path / "two.tfm").write_text("\n".join([head, *texts]))
    for read in (read_transform, read_initial):
        with pytest.raises(InputError, match="two.tfm holds several transforms; expected one"):
            read(tmp_path / "two.tfm")
    assert capfd.readouterr().err == ""


def test_a_field_of_niftyreg_is_refused(tmp_path):
    field = nib.Nifti1Image(np.ones((5, 6, 7, 1, 3), np.float32), np.eye(4))
    field.header["intent_code"], field.header["intent_name"] = 1007, b"NREG_TRANS"
    nib.save(field, tmp_path / "field.nii.gz")
    with pytest.raises(InputError, match="field.nii.gz is a transform of NiftyReg"):
        read_transform(tmp_path / "field.nii.gz")


def field_over(grid: Grid, u_mm: torch.Tensor | None = None) -> sitk.Transform:
    vectors = torch.zeros(1, 3, *grid.shape) if u_mm is None else u_mm
    return transforms._field(Displacement(vectors, grid), np.eye(4))


def test_a_field_is_asked_where_the_parts_before_it_lead():
    grid = Grid.from_spacing((6, 7, 8), (2.0, 2.0, 2.0))
    shift, scale = sitk.TranslationTransform(3, (-100.0, 0.0, 0.0)), sitk.ScaleTransform(3)
    scale.SetScale((2.0, 1.0, 1.0))
    there = Grid.from_spacing((6, 7, 8), (4.0, 2.0, 2.0), (200.0, 0.0, 0.0))
    # Of a composite the last part is met first: 100 mm to the right, then scaled.
    transform = sitk.CompositeTransform([field_over(there), scale, shift])
    assert covered(transform, grid).all()
    points = np.array([[7.0, 6.0, 5.0], [-2.0, 6.0, 5.0]])
    assert covers_points(transform, points).tolist() == [True, False]


def test_a_field_after_a_field_is_asked_everywhere():
    grid = Grid.from_spacing((6, 7, 8), (2.0, 2.0, 2.0))
    u_mm = torch.zeros(1, 3, *grid.shape)
    u_mm[:, 0, 3, 3, 4] = 50.0
    transform = sitk.CompositeTransform([field_over(grid), field_over(grid, u_mm)])
    assert (~covered(transform, grid)).nonzero().tolist() == [[0, 0, 3, 3, 4]]
