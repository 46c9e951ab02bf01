"""Pairs of two contrasts, made of pairs of one: by MIND-SSC across them, by NCC within.

python -m benchmarks.modalities --out bench-result

The phantom: its moving CT is given the contrast of an MR (bright fat, dark bone, a coil nearer to
one side); error against the true displacement where there is tissue. Liver MR `dataset19`: one
phase inverted; landmarks in the liver. Both by the solver alone. The contrasts are made up.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ElasticHyperRegLib import Image, RegistrationOptions, RegistrationRequest, read_image, register
from ElasticHyperRegLib.engine.request import RegistrationResult
from ElasticHyperRegLib.field import transform_points
from ElasticHyperRegLib.io import read_points
from ElasticHyperRegLib.metrics import tre_mm
from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom

from .cases import liver, real_images
from .thorax import Row, cost, table

HU = (-1100.0, -900.0, -700.0, -300.0, -120.0, -60.0, 20.0, 60.0, 150.0, 300.0, 800.0, 3000.0)
BRIGHTNESS = (0.0, 20.0, 45.0, 90.0, 420.0, 380.0, 210.0, 170.0, 150.0, 60.0, 25.0, 10.0)
COIL = (0.7, 1.3)
"""Sensitivity from one side to the other."""


def as_mr(ct: Image) -> Image:
    """A CT in the contrast of an MR."""
    bright = np.interp(ct.data.numpy(), HU, BRIGHTNESS)
    bright *= np.linspace(*COIL, ct.data.shape[-1])
    return Image(torch.from_numpy(bright).float(), ct.grid, "mr")


def inverted(image: Image) -> Image:
    """What was bright is dark."""
    return Image(image.data.max() - image.data, image.grid, f"{image.name}, inverted")


def contrasts(
    within: RegistrationRequest, across: Image
) -> Iterator[tuple[str, RegistrationResult]]:
    """Each way to compare → its result: within one contrast, and the moving scan in another."""
    other = replace(within, moving=across)
    ways = (("ncc, one contrast", within), ("mind, two", other), ("ncc, two", other))
    for name, request in ways:
        how = RegistrationOptions(
            initial="none", model="none", device="cpu", similarity=name.split(",")[0]
        )
        yield name, register(replace(request, options=how))


def phantom_rows(size: int) -> Iterator[Row]:
    """The phantom of seed 0."""
    phantom = make_phantom(PhantomOptions(size))
    body = (phantom.fixed_labels.data > 0)[:, 0]
    pair = RegistrationRequest(phantom.fixed, phantom.moving)
    yield {"compared by": "rest", "body_mm": _error(phantom.displacement.u_mm, body)}
    for name, result in contrasts(pair, as_mr(phantom.moving)):
        apart = result.displacement.u_mm - phantom.displacement.u_mm
        yield {"compared by": name, "body_mm": _error(apart, body)} | cost(result)


def liver_rows(data: Path) -> Iterator[Row]:
    """The first phase of the liver MR."""
    case = liver(data, data)[0]
    here, there = (read_points(path) for path in case.points["liver"])
    pair = RegistrationRequest(read_image(case.fixed), read_image(case.moving))
    yield {"compared by": "rest", "liver_mm": float(tre_mm(here, there).mean())}
    for name, result in contrasts(pair, inverted(pair.moving)):
        found = result.displacement
        moved = transform_points(here, found.u_mm, found.grid)
        error = float(tre_mm(moved, there).mean())
        yield {"compared by": name, "liver_mm": error} | cost(result)


def _error(apart: torch.Tensor, where: torch.Tensor) -> float:
    return float(apart.norm(dim=1)[where].mean())


def main() -> None:
    """Print both tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=real_images())
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    given = parser.parse_args()
    found = {"phantom": list(phantom_rows(given.size))}
    if (given.data / "liver_mr").is_dir():
        found["liver"] = list(liver_rows(given.data))
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "modalities.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    for name, rows in found.items():
        sys.stdout.write(f"## {name}\n\n{table(rows)}\n\n")


if __name__ == "__main__":
    main()
