"""Transforms on disk: ITK files (LPS) of maps that send fixed points to moving points.

``T = A ∘ (id + d)``: the affine initial alignment A after a displacement field d on one grid.
Outside that grid d is nothing and A acts alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from ..errors import InputError
from ..field import elastic_part, world_points
from ..grid import apply_matrix, map_points
from ..types import Displacement, Grid
from .integrity import check_complete, existing_file
from .itk import (
    SeveralTransforms,
    array_to_sitk,
    geometry_of,
    grid_of,
    ras_lps,
    ras_lps_matrix,
    reading,
)
from .outputs import require_space, reserve, writing
from .volumes import READABLE

_HEADERS = 1 << 16
"""Bytes that HDF5 writes beside the numbers, at most."""
_INTENT = "intent_name"
_TRANSFORM_FILE = "an ITK transform (.h5, .tfm, .txt, .mat) or a displacement field image"


def write_transform(displacement: Displacement, initial: np.ndarray, path: str | Path) -> None:
    """Write the whole map, fixed → moving points, as an ITK composite transform.

    Args:
        displacement: the whole map on the fixed grid, initial alignment included.
        initial: A, (D+1, D+1) RAS mm, fixed → moving points; alone outside the fixed grid.
        path: file to write, ``.h5``.

    Raises:
        InputError: the file cannot be written or the disk is full.
    """
    path = Path(path)
    composite = sitk.CompositeTransform([_affine(initial), _field(displacement, initial)])
    with writing(path):
        require_space(path.parent, transform_bytes(displacement))
        reserve(path, transform_bytes(displacement) + _HEADERS)
        sitk.WriteTransform(composite, str(path))


def write_inverse(inverse: Displacement, initial: np.ndarray, path: str | Path) -> None:
    """Write the inverse map, moving → fixed points, as an ITK composite transform.

    Args:
        inverse: the whole inverse map on the moving grid.
        initial: A, (D+1, D+1) RAS mm, fixed → moving points; A⁻¹ alone outside the moving grid.
        path: file to write, ``.h5``.
    """
    write_transform(inverse, np.linalg.inv(initial), path)


def transform_bytes(displacement: Displacement) -> int:
    """Size of the file that ``write_transform`` makes: ITK keeps fields in float64."""
    return displacement.u_mm[0].numel() * 8


def read_transform(path: str | Path) -> sitk.Transform:
    """Read an ITK transform, or a displacement field image as a transform (LPS mm).

    NIfTI fields may hold RAS vectors (intent 1006) or, as ITK and ANTs write them, LPS vectors
    (intent 1007); NRRD and MetaImage fields hold LPS vectors.

    Raises:
        InputError: the file is missing, damaged or no transform.
    """
    path = existing_file(path)
    check_complete(path)
    if path.name.lower().endswith(READABLE):
        return _read_field(path)
    try:
        with reading(path):
            found = sitk.ReadTransform(str(path))
    except SeveralTransforms:
        raise
    except InputError as error:
        raise InputError(f"{path} is not a transform", _TRANSFORM_FILE, "check it") from error
    if not all(_is_finite(part) for part in _in_order(found)):
        raise InputError(f"{path} holds NaN or infinite numbers", "finite ones", "make it anew")
    return found


def _is_finite(part: sitk.Transform) -> bool:
    if isinstance(part, sitk.DisplacementFieldTransform):
        return bool(np.isfinite(sitk.GetArrayViewFromImage(part.GetDisplacementField())).all())
    return bool(np.isfinite((*part.GetParameters(), *part.GetFixedParameters())).all())


def transform_displacement(transform: sitk.Transform, grid: Grid) -> Displacement:
    """Sample any ITK transform on ``grid``: u(x) = T(x) − x, RAS mm, float32.

    Raises:
        InputError: the transform and the grid differ in dimension.
    """
    _check_dimension(transform, grid.ndim)
    field = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat32, **geometry_of(grid)
    )
    vectors = torch.from_numpy(ras_lps(sitk.GetArrayViewFromImage(field)).astype(np.float32))
    return Displacement(vectors.movedim(-1, 0)[None].contiguous(), grid)


def covered(transform: sitk.Transform, grid: Grid) -> torch.Tensor:
    """Where ``grid`` lies within what a transform is made of, (1, 1, *grid.shape) bool.

    Beyond the end of a displacement field or a B-spline ITK goes on with the identity.
    """
    inside = torch.ones(1, 1, *grid.shape, dtype=torch.bool)
    done: list[sitk.Transform] = []
    for part in _in_order(transform):
        domain = _domain(part)
        if domain is not None:
            so_far = sitk.CompositeTransform([sitk.Transform(grid.ndim, sitk.sitkIdentity), *done])
            if not (all(t.IsLinear() for t in done) and _holds_corners(domain, so_far, grid)):
                u_mm = transform_displacement(so_far, grid).u_mm
                places = apply_matrix(domain, (world_points(grid, u_mm) + u_mm).double())
                inside &= ((places >= 0) & (places <= 1)).all(1, keepdim=True)
        done.insert(0, part)
    return inside


def covers_points(transform: sitk.Transform, points_ras: np.ndarray) -> np.ndarray:
    """Which of some points (P, D) RAS mm lie within what a transform is made of, (P,) bool."""
    here = np.asarray(points_ras, dtype=np.float64)
    inside = np.ones(len(here), dtype=bool)
    for part in _in_order(transform):
        domain = _domain(part)
        if domain is not None:
            places = map_points(domain, here)
            inside &= ((places >= 0) & (places <= 1)).all(1)
        here = apply_to_points(part, here)
    return inside


def _holds_corners(domain: np.ndarray, so_far: sitk.Transform, grid: Grid) -> bool:
    """Whether the corners of ``grid``, and so all of it, lie in a box under a linear transform."""
    last = np.asarray(grid.size) - 1
    corners = np.array(list(np.ndindex(*[2] * grid.ndim))) * last
    world = map_points(grid.ijk_to_ras, corners)
    places = map_points(domain, apply_to_points(so_far, world))
    return bool(((places >= 0) & (places <= 1)).all())


def read_initial(path: str | Path) -> np.ndarray:
    """Read a linear transform as an initial alignment: (4, 4) RAS mm, fixed → moving points.

    Raises:
        InputError: as ``read_transform``; the transform is not linear, not 3D or singular.
    """
    transform = read_transform(path)
    _check_dimension(transform, 3)
    if not transform.IsLinear():
        raise InputError(
            f"{path} deforms (it is no translation, rigid or affine transform)",
            "a linear transform as initial alignment",
            "give its affine part alone",
        )
    corners = np.vstack([np.zeros(3), np.eye(3)])
    images = apply_to_points(transform, corners)
    matrix = np.eye(4)
    matrix[:3, 3] = images[0]
    matrix[:3, :3] = (images[1:] - images[0]).T
    if not np.isfinite(matrix).all() or np.linalg.det(matrix[:3, :3]) <= 0:
        raise InputError(
            f"{path} mirrors or flattens space", "an invertible transform without a reflection"
        )
    return matrix


def apply_to_points(transform: sitk.Transform, points_ras: np.ndarray) -> np.ndarray:
    """Send points (P, D) RAS mm through an ITK transform → (P, D) RAS mm."""
    points = ras_lps(np.asarray(points_ras, dtype=np.float64))
    _check_dimension(transform, points.shape[1])
    moved = [transform.TransformPoint(point) for point in points.tolist()]
    return ras_lps(np.array(moved).reshape(points.shape))


def _affine(matrix_ras: np.ndarray) -> sitk.AffineTransform:
    matrix = ras_lps_matrix(np.asarray(matrix_ras, dtype=np.float64))
    dim = matrix.shape[0] - 1
    affine = sitk.AffineTransform(dim)
    affine.SetMatrix(matrix[:dim, :dim].ravel().tolist())
    affine.SetTranslation(matrix[:dim, dim].tolist())
    return affine


def _field(displacement: Displacement, initial: np.ndarray) -> sitk.DisplacementFieldTransform:
    grid, u_mm = displacement.grid, displacement.u_mm.detach().cpu()
    vectors = elastic_part(u_mm, world_points(grid, u_mm), initial)[0].movedim(0, -1).numpy()
    return sitk.DisplacementFieldTransform(array_to_sitk(ras_lps(vectors), grid))


def _read_field(path: Path) -> sitk.Transform:
    with reading(path) as name:
        image = sitk.ReadImage(name, sitk.sitkUnknown)
    dim = image.GetDimension()
    if dim not in (2, 3) or image.GetNumberOfComponentsPerPixel() != dim:
        raise InputError(f"{path} is an image, not a displacement field", _TRANSFORM_FILE)
    if image.HasMetaDataKey(_INTENT) and image.GetMetaData(_INTENT).startswith("NREG"):
        raise InputError(
            f"{path} is a transform of NiftyReg, in RAS or of positions",
            _TRANSFORM_FILE,
            "convert it to ITK's displacements, in LPS",
        )
    grid_of(image)  # refuses sheared axes
    if not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise InputError(f"{path} holds NaN or infinite displacements", "finite millimetres")
    return sitk.DisplacementFieldTransform(sitk.Cast(image, sitk.sitkVectorFloat64))


def _in_order(transform: sitk.Transform) -> list[sitk.Transform]:
    """The parts of a transform, the one that points meet first in front."""
    transform = transform.Downcast()
    if not isinstance(transform, sitk.CompositeTransform):
        return [transform]
    numbers = reversed(range(transform.GetNumberOfTransforms()))
    return [part for n in numbers for part in _in_order(transform.GetNthTransform(n))]


def _domain(part: sitk.Transform) -> np.ndarray | None:
    """(D+1, D+1) RAS mm → 0 to 1 along each axis of what ``part`` is defined on; ``None``: all."""
    if isinstance(part, sitk.DisplacementFieldTransform):
        field = part.GetDisplacementField()
        spacing = np.asarray(field.GetSpacing())
        sides = np.asarray(field.GetSize()) * spacing
        origin, direction = np.asarray(field.GetOrigin()), field.GetDirection()
        margin = spacing / 2
    elif isinstance(part, sitk.BSplineTransform):
        sides = np.asarray(part.GetTransformDomainPhysicalDimensions())
        origin = np.asarray(part.GetTransformDomainOrigin())
        direction, margin = part.GetTransformDomainDirection(), np.zeros(len(sides))
    else:
        return None
    axes = np.reshape(direction, (len(sides), len(sides)))
    matrix = np.eye(len(sides) + 1)
    matrix[:-1, :-1] = ras_lps((axes * sides).T).T
    matrix[:-1, -1] = ras_lps(origin - axes @ margin)
    return np.linalg.inv(matrix)


def _check_dimension(transform: sitk.Transform, dim: int) -> None:
    if transform.GetDimension() != dim:
        raise InputError(
            f"a {transform.GetDimension()}D transform", f"a {dim}D one", "check the file"
        )
