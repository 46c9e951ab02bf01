"""What every test may ask for: real images where they stand, oblique grids, a fixed seed."""

from __future__ import annotations

import math
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from ElasticHyperRegLib import Grid

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)
# A shell starts what runs behind it with Ctrl-C ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images: ``ELASTIC_HYPERREG_DATA``, else ``../shared/data``."""
    folder = Path(os.environ.get("ELASTIC_HYPERREG_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}; set ELASTIC_HYPERREG_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def oblique_grid() -> Callable[..., Grid]:
    """Factory of rotated, anisotropic, off-centre grids: ``oblique_grid(shape, spacing)``."""
    return make_oblique_grid


def make_oblique_grid(
    shape: tuple[int, ...] = (9, 12, 14),
    spacing: tuple[float, ...] = (1.4, 1.1, 2.5),
    degrees: float = 25.0,
) -> Grid:
    """Grid of ``shape`` (k, j, i) or (j, i), ``spacing`` (i, j, k or i, j) mm.

    Turned by ``degrees`` about the last world axis and, in 3D, then about the first. The origin
    is far from zero so that a forgotten offset shows.
    """
    dim = len(shape)
    direction = _rotation(degrees, (0, 1), dim)
    if dim == 3:
        direction = _rotation(degrees / 2, (1, 2), dim) @ direction
    origin = (-31.0, 47.0, 113.0)[:dim]
    return Grid.from_spacing(shape, spacing[:dim], origin, direction)


def _rotation(degrees: float, plane: tuple[int, int], dim: int) -> np.ndarray:
    a, b = plane
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = np.eye(dim)
    matrix[[a, b], [a, b]] = cosine
    matrix[a, b], matrix[b, a] = -sine, sine
    return matrix
