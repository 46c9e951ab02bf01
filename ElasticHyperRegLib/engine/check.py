"""What is wrong with a request is said before anything expensive begins."""

from __future__ import annotations

import logging

import numpy as np
import torch

from ..alignment import KINDS
from ..errors import InputError
from ..grid import lie_in, map_points
from ..similarity import MIND
from ..types import Grid, Image, LabelMap, is_affine
from ..weights import find_model, read_card
from .elasticity import check_sliding, check_tissues
from .memory import ran_out
from .request import AUTO, NONE, RegistrationOptions, RegistrationRequest
from .similarity import SIMILARITIES

DEVICES = ("auto", "cpu", "cuda")
SMALLEST_SIZE = 4
MOST_ITERATIONS = 1_000_000
LOG = logging.getLogger(__name__)


def check_request(request: RegistrationRequest) -> None:
    """Refuse what cannot be registered.

    Raises:
        InputError: an image is constant, holds NaN or is too small; the images differ in
            dimension; labels or masks lie on another grid than their image, or a mask is empty;
            landmarks do not pair up or lie outside; an option is out of range; (λ, μ) are given
            for a tissue that is not there, or a border of one may slide.
    """
    for image in (request.fixed, request.moving):
        _check_image(image)
    if request.fixed.grid.ndim != request.moving.grid.ndim:
        raise InputError(
            f"a {request.fixed.grid.ndim}D fixed and a {request.moving.grid.ndim}D moving image",
            "two of the same dimension",
        )
    for side, image in (("fixed", request.fixed), ("moving", request.moving)):
        for kind in ("labels", "mask"):
            _check_on_grid(getattr(request, f"{side}_{kind}"), f"{side} {kind}", image)
    _check_points(request)
    check_options(request.options, request.fixed.grid.ndim)
    check_tissues(request.options.tissues, request.fixed_labels)
    check_sliding(request)
    network = request.options.model not in (NONE, AUTO)
    if network and request.options.sliding and request.options.refine == 0:
        raise InputError(
            "borders that slide with a network alone (refine 0)",
            "passes of the solver, which alone knows them",
            "leave the border or --refine 0 out",
        )


def check_options(options: RegistrationOptions, ndim: int = 3) -> None:
    """Refuse options that are wrong whatever the images are.

    Raises:
        InputError: an unknown model, device or initial alignment, a negative number of
            iterations or seed, no CUDA where it is asked for.
    """
    if options.model not in (NONE, AUTO):
        read_card(find_model(options.model))
    if options.refine is not None and not 0 <= options.refine <= MOST_ITERATIONS:
        raise InputError(f"{options.refine} iterations", f"0 to {MOST_ITERATIONS}")
    if options.similarity not in SIMILARITIES:
        raise InputError(f"the similarity '{options.similarity}'", ", ".join(SIMILARITIES))
    if options.similarity == MIND and options.model not in (NONE, AUTO):
        raise InputError(
            f"the model '{options.model}' beside the similarity mind",
            "the solver alone, as no model knows it",
            "leave one of them out",
        )
    if not 0 <= options.seed < 2**31 - 1:
        raise InputError(f"the seed {options.seed}", "a whole number from 0 to 2147483646")
    _check_initial(options, ndim)
    pick_device(options.device)


def pick_device(name: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda`` → a device that is there and computes.

    Raises:
        InputError: an unknown name; no CUDA, or a GPU that does not compute.
    """
    if name not in DEVICES:
        raise InputError(f"the device '{name}'", "auto, cpu or cuda")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    fault = _fault_of_cuda() if torch.cuda.is_available() else "PyTorch sees no CUDA GPU"
    if fault and name == "cuda":
        raise InputError(
            f"the device 'cuda', but {fault}",
            action="use the device cpu or auto, or a CUDA build of PyTorch made for this GPU",
        )
    if fault:
        LOG.warning("computes on the processor, not on the GPU: %s", fault)
    return torch.device("cpu" if fault else "cuda")


def _fault_of_cuda() -> str:
    """Why a GPU does not compute, such as one that is older than PyTorch's kernels; or nothing.

    One without memory does: what falls back for that falls back later, and says so.
    """
    try:
        (torch.ones(1, device="cuda") + 1).cpu()
    except RuntimeError as error:
        return "" if ran_out(error) else str(error).partition("\n")[0]
    return ""


def _check_initial(options: RegistrationOptions, ndim: int) -> None:
    if isinstance(options.initial, str):
        if options.initial not in KINDS:
            raise InputError(
                f"the initial alignment '{options.initial}'",
                f"{', '.join(KINDS)} or a matrix",
            )
        return
    matrix = np.array(options.initial, dtype=np.float64)
    fits = matrix.shape == (ndim + 1, ndim + 1) and np.isfinite(matrix).all()
    if not (fits and is_affine(matrix) and np.linalg.det(matrix[:-1, :-1]) > 0):
        raise InputError(
            f"an initial alignment of shape {matrix.shape}",
            f"an invertible {ndim + 1}×{ndim + 1} matrix without a reflection, last row 0 … 0 1",
        )


def _check_image(image: Image) -> None:
    if not bool(torch.isfinite(image.data).all()):
        raise InputError(f"{image.name} with NaN or infinite voxels", "finite values")
    if float(image.data.min()) == float(image.data.max()):
        raise InputError(f"{image.name}, the same everywhere", "an image with some contrast")
    if min(image.grid.shape) < SMALLEST_SIZE:
        raise InputError(
            f"{image.name} of {_size(image.grid)} voxels",
            f"at least {SMALLEST_SIZE} along every axis",
            "give the whole volume",
        )


def _check_on_grid(labels: LabelMap | None, kind: str, image: Image) -> None:
    if labels is None:
        return
    if not labels.grid.same_as(image.grid):
        raise InputError(
            f"{kind} {labels.name} on a grid of {labels.grid.beside(image.grid)}",
            f"the grid of {image.name}, {image.grid.beside(labels.grid)}",
            "give those of the same scan, or resample them with nearest neighbour",
        )
    if not bool((labels.data != 0).any()):
        raise InputError(f"{kind} {labels.name}, 0 everywhere", "at least one voxel above 0")


def _check_points(request: RegistrationRequest) -> None:
    pair = (request.fixed_points, request.moving_points)
    if all(points is None for points in pair):
        return
    for side, points in zip(("fixed", "moving"), pair, strict=True):
        _check_landmarks(points, side, request.fixed.grid.ndim)
    counts = [0 if points is None else len(points) for points in pair]
    if 0 in counts or counts[0] != counts[1]:
        raise InputError(
            f"{counts[0]} fixed and {counts[1]} moving landmarks",
            "the same points in both, in the same order",
        )
    for side, points in zip(("fixed", "moving"), pair, strict=True):
        grid = getattr(request, side).grid
        if not _any_inside(np.asarray(points), grid):
            raise InputError(
                f"{side} landmarks of which none lies in the {side} image",
                "points of that scan in RAS mm",
                "check that they belong to it and which frame they are in",
            )


def _check_landmarks(points: np.ndarray | None, side: str, ndim: int) -> None:
    if points is None:
        return
    shape = np.shape(points)
    if len(shape) != 2 or shape[1] != ndim:
        raise InputError(f"{side} landmarks of shape {shape}", f"RAS mm of shape (P, {ndim})")
    if not np.isfinite(np.asarray(points, dtype=np.float64)).all():
        raise InputError(f"{side} landmarks with NaN or infinite coordinates", "RAS mm")


def _any_inside(points: np.ndarray, grid: Grid) -> bool:
    return bool(lie_in(grid, map_points(grid.ras_to_ijk, points)).any())


def _size(grid: Grid) -> str:
    return "×".join(str(n) for n in grid.size)
