"""Between the library's world (RAS+) and ITK's (LPS); what ITK says is filtered here as well."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import numpy as np
import SimpleITK as sitk
import torch

from ..errors import InputError
from ..types import Grid, Image

HARMLESS_WARNINGS = (
    # ITK takes the spacing from pixdim, which is right, and says that the sform disagrees.
    "unexpected scales in sform",
    # Said while looking for DICOM slices; we raise our own error.
    "No Series were found",
)
_SEVERAL = "more than one transform in the file"

_READ_FAULTS = {
    "orthonormal": ("a voxel-to-world matrix with sheared axes", "resample the image first"),
    "Zero-valued spacing": ("a voxel spacing of zero", "correct the header"),
    "Bad direction": ("a singular voxel-to-world matrix", "correct the header"),
    "Unable to determine ImageIO": ("not an image that can be read", "check the file"),
    "not supported": ("an unsupported kind of pixel or geometry", "convert the image first"),
}

_logger_lock = Lock()


class SeveralTransforms(InputError):
    """A file of which ITK would take the first alone."""


class _Filter(sitk.LoggerBase):  # type: ignore[misc]  # SimpleITK has no types
    """Passes on everything ITK says, except the harmless warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.several = False
        self._previous: sitk.LoggerBase | None = None

    def install(self) -> None:
        self._previous = self.SetAsGlobalITKLogger()

    def remove(self) -> None:
        if self._previous is not None:
            self._previous.SetAsGlobalITKLogger()

    def DisplayWarningText(self, text: str) -> None:  # noqa: N802 (SimpleITK's name)
        self.several |= _SEVERAL in text
        known = any(words in text for words in (*HARMLESS_WARNINGS, _SEVERAL))
        if self._previous is not None and not known:
            self._previous.DisplayWarningText(text)

    def DisplayErrorText(self, text: str) -> None:  # noqa: N802
        if self._previous is not None:
            self._previous.DisplayErrorText(text)

    def DisplayText(self, text: str) -> None:  # noqa: N802
        if self._previous is not None:
            self._previous.DisplayText(text)


@contextmanager
def _alone(path: Path) -> Iterator[str]:
    """A name of ``path`` under which nothing else is read.

    Of ``a.nii.gz`` ITK takes the header, and the voxels of ``a.nii`` where that lies beside it.
    """
    if path.suffix.lower() != ".gz" or not path.with_suffix("").exists():
        yield str(path)
        return
    with TemporaryDirectory() as folder:
        yield shutil.copyfile(path, Path(folder) / path.name).__fspath__()


@contextmanager
def reading(path: Path) -> Iterator[str]:
    """Around calls that read ``path``: drops harmless warnings, makes ITK's errors one line.

    Gives the name to read it by.

    Raises:
        InputError: ITK could not read the file.
    """
    with _logger_lock:
        logger = _Filter()
        logger.install()
        try:
            with _alone(path) as name:
                yield name
            if logger.several:
                raise SeveralTransforms(
                    f"{path} holds several transforms", "one, or one composite of them"
                )
        except RuntimeError as error:
            text = str(error)
            if "SWIG director method error" in text:  # Ctrl-C, heard while ITK told something
                raise KeyboardInterrupt from error
            for sign, (fault, action) in _READ_FAULTS.items():
                if sign in text:
                    raise InputError(f"{path}: {fault}", action=action) from error
            reason = text.strip().splitlines()[-1].removeprefix("Reason: ")
            raise InputError(
                f"{path} cannot be read ({reason})", "a complete, undamaged file"
            ) from error
        finally:
            logger.remove()


def ras_lps(vectors: np.ndarray) -> np.ndarray:
    """RAS ↔ LPS of points or vectors (..., D): the first two components change sign."""
    sign = np.ones(vectors.shape[-1])
    sign[:2] = -1
    return vectors * sign


def ras_lps_matrix(matrix: np.ndarray) -> np.ndarray:
    """RAS ↔ LPS of a (D+1, D+1) world → world matrix."""
    sign = ras_lps(np.ones(matrix.shape[0] - 1))
    flip = np.diag(np.append(sign, 1.0))
    return flip @ matrix @ flip


def grid_of(image: sitk.Image) -> Grid:
    """The RAS grid of an ITK image."""
    dim = image.GetDimension()
    matrix = np.eye(dim + 1)
    direction = np.reshape(image.GetDirection(), (dim, dim))
    matrix[:dim, :dim] = ras_lps((direction * image.GetSpacing()).T).T
    matrix[:dim, dim] = ras_lps(np.asarray(image.GetOrigin()))
    return Grid(image.GetSize()[::-1], matrix + 0.0)  # no negative zeros


def geometry_of(grid: Grid) -> dict[str, tuple[float, ...]]:
    """``grid`` as ITK names it: ``size``, ``outputOrigin``, ``outputSpacing``, ..."""
    return {
        "size": grid.size,
        "outputOrigin": tuple(ras_lps(grid.origin).tolist()),
        "outputSpacing": grid.spacing,
        "outputDirection": tuple(ras_lps(grid.direction.T).T.ravel().tolist()),
    }


def array_to_sitk(array: np.ndarray, grid: Grid) -> sitk.Image:
    """(*shape) or, for vectors, (*shape, D) → ITK image on ``grid``; values are left alone."""
    image = sitk.GetImageFromArray(array, isVector=array.ndim > grid.ndim)
    geometry = geometry_of(grid)
    image.SetOrigin(geometry["outputOrigin"])
    image.SetSpacing(geometry["outputSpacing"])
    image.SetDirection(geometry["outputDirection"])
    return image


def to_sitk(data: torch.Tensor, grid: Grid) -> sitk.Image:
    """Scalar ``data`` (1, 1, K, J, I) on ``grid`` → ITK image of the same pixel type."""
    return array_to_sitk(data.detach().cpu().numpy()[0, 0], grid)


def from_sitk(image: sitk.Image, name: str = "image") -> Image:
    """Scalar ITK image → ``Image`` (float32, RAS)."""
    return image_from_array(sitk.GetArrayViewFromImage(image), grid_of(image), name)


def image_from_array(array: np.ndarray, grid: Grid, name: str = "image") -> Image:
    """Array (K, J, I) of any real type on ``grid`` → ``Image``; the array is copied."""
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which the readers refuse
        data = torch.from_numpy(np.array(array, dtype=np.float32))
    return Image(data[None, None], grid, name, str(array.dtype))
