"""All ACDC middle slices in one call of the solver: overlap, folds and time of the whole batch.

python -m benchmarks.acdc_batch --lam 0.05 --mu 0.15 --repeats 3
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import SimpleITK as sitk
import torch

from ElasticHyperRegLib.field import jacobian_determinant, warp_labels
from ElasticHyperRegLib.io import from_sitk
from ElasticHyperRegLib.metrics import dice, folds_fraction, mean_dice
from ElasticHyperRegLib.solver import Problem, solve
from ElasticHyperRegLib.types import Grid, LabelMap

from .cases import ACDC_SIZE, ACDC_SPACING_MM, acdc, real_images


def stack(paths: list[Path]) -> torch.Tensor:
    """Slices as one batch (N, 1, J, I)."""
    return torch.cat([from_sitk(sitk.ReadImage(path), path.name).data for path in paths])


def main() -> None:
    """Print mean Dice, folds and the median time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=real_images())
    parser.add_argument("--lam", type=float, default=0.05)
    parser.add_argument("--mu", type=float, default=0.15)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    grid = Grid.from_spacing((ACDC_SIZE,) * 2, (ACDC_SPACING_MM,) * 2)
    with tempfile.TemporaryDirectory() as folder:
        cases = acdc(given.data, Path(folder))
        if not cases:
            raise SystemExit(f"no patients in {given.data / 'acdc' / 'testing'}")
        fixed, moving = stack([c.fixed for c in cases]), stack([c.moving for c in cases])
        pairs = [c.labels for c in cases if c.labels]
        labels = [stack([pair[side] for pair in pairs]).int() for side in (0, 1)]
    problem = Problem(fixed, moving, grid, grid, given.lam, given.mu)
    seconds = []
    for _ in range(given.repeats):
        begin = perf_counter()
        u_mm = solve(problem).u_mm
        seconds.append(perf_counter() - begin)
    warped = warp_labels(labels[1], u_mm, grid, grid)
    scores = [
        mean_dice(dice(LabelMap(f[None], grid), LabelMap(w[None], grid)))
        for f, w in zip(labels[0], warped, strict=True)
    ]
    folds = folds_fraction(jacobian_determinant(u_mm, grid))
    sys.stdout.write(
        f"{len(scores)} pairs: mean Dice {sum(scores) / len(scores):.3f}, "
        f"folds {100 * folds:.3f} %, {median(seconds):.1f} s for all (median of {given.repeats})\n"
    )


if __name__ == "__main__":
    main()
