"""Applying a saved transform to files of the moving scan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
import typer

from ..engine.intensity import without_padding
from ..errors import InputError
from ..grid import lie_in, map_points
from ..io import (
    apply_to_points,
    atomic_path,
    covers_points,
    from_sitk,
    read_grid,
    read_image,
    read_point_names,
    read_points,
    read_transform,
    to_sitk,
    write_image,
    write_labels,
    write_points,
)
from ..io.itk import geometry_of
from ..io.outputs import keep_inputs
from ..types import Grid, Image, LabelMap
from .invert_points import invert_points
from .labels import read_any_labels

LARGEST_RESIDUAL_MM = 0.1


def warp_file(
    transform: Path,
    reference: Path,
    moving: Mapping[str, Path | None],
    out: Path,
    overwrite: bool,
) -> None:
    """Bring one file of the moving scan into the frame of ``reference`` and write it.

    Args:
        transform: ITK transform file, fixed → moving points.
        reference: volume of the fixed scan.
        moving: ``image``, ``labels`` and ``points``, of which exactly one is given.
        out: file to write.
        overwrite: replace ``out`` if it exists.

    Raises:
        InputError: not exactly one is given; a file is at fault.
    """
    given = {kind: path for kind, path in moving.items() if path is not None}
    if len(given) != 1:
        options = [f"--{kind}" for kind in given]
        raise InputError(
            f"{' and '.join(options) or 'nothing'} to warp",
            "exactly one of --image, --labels and --points",
        )
    ((kind, path),) = given.items()
    keep_inputs((path, transform, reference), [out])
    with atomic_path(out, overwrite) as temporary:
        phi = read_transform(transform)
        if phi.GetDimension() != 3:
            raise InputError(f"{transform}, a {phi.GetDimension()}D transform", "a 3D one")
        grid = read_grid(reference)
        if kind == "image":
            write_image(warped_image(read_image(path), phi, grid), temporary)
        elif kind == "labels":
            write_labels(warped_labels(read_any_labels(path), phi, grid), temporary)
        else:
            _warp_points(path, phi, grid, temporary)
    typer.echo(f"{kind} of {path.name} in the frame of {reference.name}: {out}")


def warped_image(image: Image, phi: sitk.Transform, grid: Grid) -> Image:
    """Linear; the image's lowest value where it shows nothing, as ``register`` does it."""
    clean = without_padding(image)
    lowest = float(clean.data.min())
    found = from_sitk(_resample(clean.data, clean.grid, grid, phi, sitk.sitkLinear, lowest)).data
    if not bool((found > lowest).any()):
        _tell_empty(image.name, image.grid, grid, phi)
    return Image(found, grid, "warped", image.dtype)


def warped_labels(labels: LabelMap, phi: sitk.Transform, grid: Grid) -> LabelMap:
    """Nearest neighbour; no new values, 0 where the labels show nothing."""
    found = _resample(labels.data, labels.grid, grid, phi, sitk.sitkNearestNeighbor, 0)
    data = torch.from_numpy(sitk.GetArrayFromImage(found))[None, None]
    if not bool(data.any()):
        _tell_empty(labels.name, labels.grid, grid, phi)
    return LabelMap(data, grid, labels.names, "warped labels")


def _tell_empty(name: str, moving: Grid, grid: Grid, phi: sitk.Transform) -> None:
    """Of a result that shows nothing: why.

    Raises:
        InputError: no voxel of ``grid`` lands in ``moving``: another transform, or another scan.
    """
    ones = torch.ones(1, 1, *moving.shape)
    landed = _resample(ones, moving, grid, phi, sitk.sitkNearestNeighbor, 0)
    if not sitk.GetArrayViewFromImage(landed).any():
        raise InputError(
            f"{name}, nothing of which comes into the reference",
            "a scan that the transform carries there",
            "check that they belong together; from fixed to moving it is inverse.h5",
        )
    typer.echo(f"{name}: all of it lies outside of the reference, or between its voxels")


def _resample(
    data: torch.Tensor,
    moving: Grid,
    fixed: Grid,
    phi: sitk.Transform,
    interpolator: int,
    fill: float,
) -> sitk.Image:
    return sitk.Resample(
        to_sitk(data, moving),
        transform=phi,
        interpolator=interpolator,
        defaultPixelValue=fill,
        **geometry_of(fixed),
    )


def _warp_points(path: Path, phi: sitk.Transform, grid: Grid, out: Path) -> None:
    points = read_points(path)
    found = invert_points(phi, points)
    residual = np.linalg.norm(apply_to_points(phi, found) - points, axis=1)
    lost = np.flatnonzero(~(residual <= LARGEST_RESIDUAL_MM))
    if len(lost):
        raise InputError(
            f"{len(lost)} of {len(points)} points that the transform reaches from nowhere "
            f"(the first is number {lost[0] + 1}, {residual[lost[0]]:.2f} mm off)",
            "points within what it covers, and a transform without folds there",
            "check that they belong to the moving scan",
        )
    names = read_point_names(path)
    write_points(found, out, names if len(names) == len(found) else ())
    outside = int((~lie_in(grid, map_points(grid.ras_to_ijk, found))).sum())
    typer.echo(
        f"{len(points)} points; carried back they meet within {residual.max():.4f} mm; "
        f"{outside} of them lie outside the reference"
    )
    beyond = int((~covers_points(phi, found)).sum())
    if beyond:
        typer.echo(f"{beyond} of them lie beyond the end of the transform, where nothing deforms")
