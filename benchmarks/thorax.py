"""Thorax models on phantoms they have not seen and on a real pair, beside the solver.

python -m benchmarks.thorax --phantoms 5 --out bench-result

Phantoms of the test seeds, whose true displacement is known: error within the body and within the
lungs after the affine alignment, after the model alone, after the model and the solver, and after
the solver alone; folds; seconds of network and solver, without the alignment. The lung CT pair:
NCC, Dice of the lung masks, landmarks at vessels (see ``vessels``), folds, seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from ElasticHyperRegLib import RegistrationOptions, RegistrationRequest, read_image, read_labels
from ElasticHyperRegLib.engine import register
from ElasticHyperRegLib.engine.request import RegistrationResult
from ElasticHyperRegLib.field import transform_points, with_initial, world_points
from ElasticHyperRegLib.metrics import tre_mm, tre_summary
from ElasticHyperRegLib.phantom import Phantom, PhantomOptions, make_phantom
from ElasticHyperRegLib.phantom.body import TISSUES
from training.data.phantom import FIRST_SEED

from .cases import lung_vessels, real_images

AFFINE = "affine"
SOLVER = "solver"
Row = dict[str, Any]


def contenders(models: Sequence[str]) -> dict[str, RegistrationOptions]:
    """Name in the table → how to register."""
    found = {SOLVER: RegistrationOptions(model="none")}
    for model in models:
        found[model] = RegistrationOptions(model=model, refine=0)
        found[f"{model} + solver"] = RegistrationOptions(model=model)
    return found


def phantom_rows(phantom: Phantom, options: dict[str, RegistrationOptions]) -> Iterator[Row]:
    """One row a contender, and the alignment that all of them share."""
    request = RegistrationRequest(phantom.fixed, phantom.moving, phantom.fixed_labels)
    aligned = False
    for name, how in options.items():
        result = register(replace(request, options=how))
        if not aligned:
            rest = torch.zeros_like(result.displacement.u_mm)
            affine = with_initial(rest, world_points(phantom.fixed.grid, rest), result.initial)
            yield {"contender": AFFINE} | _errors(phantom, affine)
            aligned = True
        yield {"contender": name} | _errors(phantom, result.displacement.u_mm) | cost(result)


def _errors(phantom: Phantom, u_mm: torch.Tensor) -> Row:
    """Mean distance to the true displacement, mm, where there is tissue and within the lungs."""
    error = (u_mm - phantom.displacement.u_mm).norm(dim=1, keepdim=True)
    labels = phantom.fixed_labels.data
    lung = next(value for value, name in TISSUES.items() if name == "lung")
    return {
        "body_mm": float(error[labels > 0].mean()),
        "lung_mm": float(error[labels == lung].mean()),
    }


def cost(result: RegistrationResult) -> Row:
    """Folds, and seconds of network and solver."""
    seconds = result.metrics["seconds"]
    return {
        "folds": result.metrics["folds_fraction"],
        "seconds": seconds.get("network", 0.0) + seconds.get("refine", 0.0),
    }


def lung_rows(data: Path, options: dict[str, RegistrationOptions]) -> Iterator[Row]:
    """The real pair: lung masks, and vessels matched locally about where the solver has them."""
    there = data / "lung_ct_pair"
    fixed, moving = (read_image(there / f"{side}.mha") for side in ("fixed", "moving"))
    masks = [read_labels(there / f"{side}_lung_mask.mha") for side in ("fixed", "moving")]
    points = lung_vessels(fixed, moving, masks[0])
    request = RegistrationRequest(fixed, moving, masks[0], masks[1])
    for name, how in options.items():
        result = register(replace(request, options=how))
        found = result.metrics
        pairs = found["dice"].values()
        dice = {when: mean(pair[when] for pair in pairs) for when in ("before", "after")}
        likeness = {f"ncc_{when}": found["ncc"][when] for when in ("before", "after")}
        dices = {f"dice_{when}": value for when, value in dice.items()}
        moved = transform_points(points[0], result.displacement.u_mm, fixed.grid)
        errors = tre_summary(tre_mm(moved, points[1]))
        meet = {f"vessels_{which}_mm": errors[which] for which in ("mean", "p95")}
        yield {"contender": name} | likeness | dices | meet | cost(result)


def averages(rows: Sequence[Row]) -> list[Row]:
    """Means over the phantoms, one row a contender, in order."""
    names = dict.fromkeys(row["contender"] for row in rows)
    found = []
    for name in names:
        own = [row for row in rows if row["contender"] == name]
        keys = [key for key in own[0] if key != "contender"]
        found.append({"contender": name} | {key: mean(row[key] for row in own) for key in keys})
    return found


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        text = [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells]
        lines.append("| " + " | ".join(text) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print both tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=real_images())
    parser.add_argument("--models", default="thorax-elas-g,thorax-CSAIN-elastic")
    parser.add_argument("--phantoms", type=int, default=5)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    given = parser.parse_args()
    options = contenders(given.models.split(","))
    rows = []
    for number in range(given.phantoms):
        phantom = make_phantom(PhantomOptions(given.size, FIRST_SEED["test"] + number))
        for row in phantom_rows(phantom, options):
            sys.stderr.write(f"phantom {number}: {json.dumps(row)}\n")
            rows.append(row)
    lung = list(lung_rows(given.data, options)) if (given.data / "lung_ct_pair").is_dir() else []
    found = {"phantoms": averages(rows), "each": rows, "lung": lung}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "thorax.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    pair = table(lung) if lung else f"lung left out: no real images in {given.data}"
    sys.stdout.write(f"{table(found['phantoms'])}\n\n{pair}\n")


if __name__ == "__main__":
    main()
