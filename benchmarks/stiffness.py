"""Do the estimated λ and μ order the tissues as their true stiffness does?

python -m benchmarks.stiffness --phantoms 20 --size 48 --out bench-result

On phantoms, whose stiffness and deformation are known, (λ, μ) of every tissue is estimated by each
objective with the solver's fields. The order of the tissues by the estimate is compared with the
true one: Spearman's rank correlation for each phantom, then mean and standard error over the
phantoms. ``truth`` is an objective that nobody has for a patient, the error at points whose true
displacement is known in every tissue: what it does not order, no evidence can.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from ElasticHyperRegLib import Elasticity, RegistrationOptions, RegistrationRequest
from ElasticHyperRegLib.engine import FieldModel, Run, align_pair
from ElasticHyperRegLib.estimation import Estimate, EstimateOptions, Evidence, estimate
from ElasticHyperRegLib.field import transform_points
from ElasticHyperRegLib.materials import young_poisson
from ElasticHyperRegLib.phantom import Phantom, PhantomOptions, make_phantom
from ElasticHyperRegLib.session.fields import Fields
from ElasticHyperRegLib.types import Grid

BACKGROUND = "background"
FEWEST = 3
"""Tissues without which there is no order to speak of."""
POINTS = 150
"""Points a tissue whose true displacement ``truth`` compares."""
OBJECTIVES: dict[str, Mapping[str, float]] = {
    "dice": {"dice": 1.0},
    "soft-dice": {"soft-dice": 1.0},
    "tre": {"tre": 1.0},
    "similarity": {"similarity": 1.0},
    "dice - 20 folds": {"dice": 1.0, "folds": 20.0},
    "dice + similarity": {"dice": 1.0, "similarity": 1.0},
    "truth": {"tre": 1.0},
}
MEASURES = ("young", "mu", "sum")
"""By what the tissues are ordered: Young's modulus of (λ, μ), μ alone, λ + μ."""
Record = dict[str, Any]


class Remembered:
    """A field whose answers are kept, so that every objective looks at the same ones.

    Args:
        field: what computes them.
        alone: whether it is asked for one setting everywhere at a time.
    """

    def __init__(self, field: FieldModel, alone: bool) -> None:
        self._field = field
        self.tissues = () if alone else field.tissues
        self._known: dict[Any, torch.Tensor] = {}

    @property
    def grid(self) -> Grid:
        """Where the field lives."""
        return self._field.grid

    @property
    def name(self) -> str:
        """Of what computes it."""
        return self._field.name

    def displacement(self, default: Elasticity, tissues: Mapping[str, Elasticity]) -> torch.Tensor:
        """(1, 3, *grid.shape) RAS mm; see ``FieldModel.displacement``."""
        key = (default, *(tissues.get(name, default) for name in self.tissues))
        if key not in self._known:
            self._known[key] = self._field.displacement(default, tissues)
        return self._known[key]


@dataclass(frozen=True)
class Plan:
    """How every phantom is estimated."""

    size: int
    objectives: tuple[str, ...]
    method: str
    step: float
    sweeps: int


def measure(seed: int, plan: Plan) -> list[Record]:
    """One record for each objective on the phantom of ``seed``."""
    phantom = make_phantom(PhantomOptions(size=plan.size, seed=seed))
    options = RegistrationOptions(initial="none", model="none", device="cpu")
    request = RegistrationRequest(
        phantom.fixed,
        phantom.moving,
        fixed_labels=phantom.fixed_labels,
        moving_labels=phantom.moving_labels,
        fixed_points=phantom.fixed_points,
        moving_points=phantom.moving_points,
        options=options,
    )
    pair = align_pair(request, torch.device("cpu"), Run())
    field = Remembered(Fields(request, pair, None).model, alone=plan.sweeps == 0)
    known = Evidence.of(request, pair.initial)
    records = []
    for name in plan.objectives:
        evidence = _with_truth(known, phantom, seed) if name == "truth" else known
        how = EstimateOptions(OBJECTIVES[name], plan.method, plan.step, sweeps=plan.sweeps)
        begin = perf_counter()
        found = estimate(field, evidence, how)
        records.append(
            {
                "seed": seed,
                "objective": name,
                "elasticity": found.to_table(),
                "truth": {t: [v.lam, v.mu] for t, v in phantom.stiffness.items()},
                "order": agreement(found, phantom.stiffness),
                "scores": found.scores["everywhere"],
                "undetermined": len(found.warnings),
                "seconds": round(perf_counter() - begin, 1),
            }
        )
    return records


def agreement(found: Estimate, truth: Mapping[str, Elasticity]) -> dict[str, float | None]:
    """Spearman's correlation of the estimated order of tissues with that of the true moduli.

    Only tissues that were searched by themselves count. ``None`` where they are fewer than three,
    or all get the same value.
    """
    searched = {surface.tissue for surface in found.surfaces}
    names = [name for name in truth if name in searched and name != BACKGROUND]
    chosen = found.elasticity
    expected = [young_poisson(truth[n].lam, truth[n].mu)[0] for n in names]
    values = {
        "young": [young_poisson(chosen[n].lam, chosen[n].mu)[0] for n in names],
        "mu": [chosen[n].mu for n in names],
        "sum": [chosen[n].lam + chosen[n].mu for n in names],
    }
    return {key: spearman(values[key], expected) for key in MEASURES}


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Rank correlation, equal values sharing the mean of their ranks."""
    ranks_a, ranks_b = (_ranks(np.round(values, 9)) for values in (a, b))
    if len(a) < FEWEST or min(len(set(ranks_a)), len(set(ranks_b))) < 2:
        return None
    return float(np.corrcoef(ranks_a, ranks_b)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    below = (values[:, None] > values).sum(1)
    return below + ((values[:, None] == values).sum(1) - 1) / 2


def _with_truth(known: Evidence, phantom: Phantom, seed: int) -> Evidence:
    """Evidence whose landmarks are points of every tissue, moved by the true displacement."""
    rng = np.random.default_rng([seed, 99])
    labels, grid = phantom.fixed_labels.data[0, 0].numpy(), phantom.fixed_labels.grid
    chosen = []
    for label in np.unique(labels[labels > 0]):
        there = np.argwhere(labels == label)[:, ::-1]
        chosen.append(rng.permutation(there)[:POINTS])
    points = np.concatenate(chosen) @ grid.ijk_to_ras[:3, :3].T + grid.origin
    moved = transform_points(points, phantom.displacement.u_mm, phantom.displacement.grid)
    return replace(known, fixed_points=points, moving_points=moved)


def table(records: Sequence[Record]) -> str:
    """Markdown: one row an objective, means over the phantoms."""
    names = [n for n in records[0]["truth"] if n != BACKGROUND]
    head = ["objective", "phantoms", *(f"order by {m} (SE)" for m in ("E", "μ", "λ+μ"))]
    lines = [f"| {' | '.join([*head, *(f'λ, μ {n}' for n in names)])} |"]
    lines.append("|---" * (len(head) + len(names)) + "|")
    for objective in dict.fromkeys(record["objective"] for record in records):
        own = [record for record in records if record["objective"] == objective]
        orders = [_mean_se([r["order"][key] for r in own]) for key in MEASURES]
        means = [
            np.mean([r["elasticity"].get(n, r["elasticity"]["everywhere"]) for r in own], 0)
            for n in names
        ]
        cells = [objective, str(len(own)), *orders, *(f"{lam:.2f}, {mu:.2f}" for lam, mu in means)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mean_se(values: Sequence[float | None]) -> str:
    there = [value for value in values if value is not None]
    if not there:
        return "none to tell"
    error = np.std(there, ddof=1) / np.sqrt(len(there)) if len(there) > 1 else float("nan")
    missing = f", {len(values) - len(there)} without" if len(there) < len(values) else ""
    return f"{np.mean(there):+.2f} ({error:.2f}{missing})"


def main() -> None:
    """Estimate every phantom; ``stiffness.json`` and ``stiffness.md`` grow as they are done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phantoms", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first phantom")
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--objectives", default=",".join(OBJECTIVES))
    parser.add_argument("--method", default="coarse-to-fine")
    parser.add_argument("--step", type=float, default=0.1)
    parser.add_argument(
        "--sweeps", type=int, default=1, help="0: one setting everywhere at a time, much quicker"
    )
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    given = parser.parse_args()
    plan = Plan(
        given.size, tuple(given.objectives.split(",")), given.method, given.step, given.sweeps
    )
    given.out.mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    for seed in range(given.first, given.first + given.phantoms):
        records += measure(seed, plan)
        (given.out / "stiffness.json").write_text(json.dumps(records, indent=2), encoding="utf-8")
        (given.out / "stiffness.md").write_text(table(records), encoding="utf-8")
        print(f"phantom {seed} done", file=sys.stderr)
    sys.stdout.write(table(records))


if __name__ == "__main__":
    main()
