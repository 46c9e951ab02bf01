"""Do the estimated λ and μ order the tissues as their true stiffness does?

python -m benchmarks.stiffness --phantoms 20 --out bench-result

On phantoms, whose stiffness and deformation are known, every tissue takes the (λ, μ) of a lattice
that its objective likes best among the solver's fields, in two ways: ``everywhere``, one setting
holds for all tissues and each looks at its own score, as in the literature; ``alone``, one tissue's
setting changes while the others keep the default, and the score is that of the whole. The order
of the tissues by their choices is compared with the true one: Spearman's rank correlation for each
phantom, then mean and standard deviation over the phantoms. ``truth`` is an objective that nobody
has for a patient, the error at points whose true displacement is known in every tissue: what it
does not order, no evidence can.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ElasticHyperRegLib import Elasticity, RegistrationOptions, RegistrationRequest
from ElasticHyperRegLib.engine import FieldModel, Run, align_pair
from ElasticHyperRegLib.engine.elasticity import BACKGROUND, EVERYWHERE
from ElasticHyperRegLib.engine.request import DEFAULT_ELASTICITY
from ElasticHyperRegLib.estimation import (
    EstimateOptions,
    Evidence,
    Setting,
    Surface,
    estimate,
)
from ElasticHyperRegLib.estimation.place import Place
from ElasticHyperRegLib.estimation.scorer import Scorer
from ElasticHyperRegLib.estimation.settings import lattice
from ElasticHyperRegLib.estimation.surface import HELD, Choice, best_of
from ElasticHyperRegLib.field import transform_points
from ElasticHyperRegLib.grid import map_points
from ElasticHyperRegLib.materials import young_poisson
from ElasticHyperRegLib.phantom import Phantom, PhantomOptions, make_phantom
from ElasticHyperRegLib.session.compared import scored
from ElasticHyperRegLib.session.fields import Fields

FEWEST = 3
"""Tissues without which there is no order to speak of."""
POINTS = 150
"""Points a tissue whose true displacement ``truth`` compares."""
OBJECTIVES: dict[str, Mapping[str, float]] = {
    "dice": {"dice": 1.0},
    "tre": {"tre": 1.0},
    "similarity": {"similarity": 1.0},
    "truth": {"tre": 1.0},
}
MEASURES = ("young", "mu", "sum")
"""By what the tissues are ordered: Young's modulus of (λ, μ), μ alone, λ + μ."""
Record = dict[str, Any]


class Remembered:
    """A field whose answers are kept, so that every objective looks at the same ones.

    Args:
        field: what computes them.
    """

    def __init__(self, field: FieldModel) -> None:
        self.tissues: tuple[str, ...] = ()
        """It shows itself as a field of one setting everywhere."""
        self.name, self.grid = field.name, field.grid
        self._field = field
        self._known: dict[Any, torch.Tensor] = {}

    def displacement(self, default: Elasticity, tissues: Mapping[str, Elasticity]) -> torch.Tensor:
        """(1, 3, *grid.shape) RAS mm; see ``FieldModel.displacement``."""
        key = Setting(default, tissues).key
        if key not in self._known:
            self._known[key] = self._field.displacement(default, tissues)
        return self._known[key]


def everywhere(
    field: Remembered, evidence: Evidence, weights: Mapping[str, float], step: float
) -> list[Surface]:
    """One setting for all at a time, every tissue by its own score."""
    found = estimate(field, evidence, EstimateOptions(weights, step=step))
    return [surface for surface in found.surfaces if surface.tissue != EVERYWHERE]


def alone(
    field: Remembered, evidence: Evidence, weights: Mapping[str, float], step: float
) -> list[Surface]:
    """One tissue at a time, the others at the default, by the score of the whole."""
    place = Place(field.grid, evidence, torch.device("cpu"))
    scorer, start = Scorer(place, weights), DEFAULT_ELASTICITY
    how = Choice(start, scorer.tolerance / len(place.names))

    def score(tissue: str, value: Elasticity) -> float:
        return float(scorer(field.displacement(start, {tissue: value}))[0])

    return [
        Surface.over(tissue, HELD, {v: score(tissue, v) for v in [start, *lattice(step)]}, how)
        for tissue in place.names
    ]


WAYS = {"everywhere": everywhere, "alone": alone}


def measure(seed: int, size: int, step: float) -> list[Record]:
    """One record for each way and objective on the phantom of ``seed``."""
    phantom = make_phantom(PhantomOptions(size=size, seed=seed))
    request = RegistrationRequest(
        phantom.fixed,
        phantom.moving,
        fixed_labels=phantom.fixed_labels,
        moving_labels=phantom.moving_labels,
        fixed_points=phantom.fixed_points,
        moving_points=phantom.moving_points,
        options=RegistrationOptions(initial="none", model="none", device="cpu"),
    )
    pair = align_pair(request, torch.device("cpu"), Run())
    start = Setting(DEFAULT_ELASTICITY)
    field = Remembered(scored(Fields(request, pair, None), start, lambda: None))
    known = Evidence.of(request, pair.initial)
    records = []
    for way, objective in product(WAYS, OBJECTIVES):
        evidence = _with_truth(known, phantom, seed) if objective == "truth" else known
        surfaces = WAYS[way](field, evidence, OBJECTIVES[objective], step)
        chosen = {surface.tissue: favourite(surface) for surface in surfaces}
        records.append(
            {
                "seed": seed,
                "way": way,
                "objective": objective,
                "elasticity": {t: [v.lam, v.mu] for t, v in chosen.items()},
                "truth": {t: [v.lam, v.mu] for t, v in phantom.stiffness.items()},
                "order": agreement(chosen, phantom.stiffness),
                "undetermined": [s.tissue for s in surfaces if s.undetermined],
            }
        )
    return records


def favourite(surface: Surface) -> Elasticity:
    """The setting of the highest score, however little the others are worse."""
    scores = dict(zip(surface.settings, surface.scores, strict=True))
    return best_of(scores, DEFAULT_ELASTICITY)


def agreement(
    chosen: Mapping[str, Elasticity], truth: Mapping[str, Elasticity]
) -> dict[str, float | None]:
    """Spearman's correlation of the estimated order of tissues with that of the true moduli.

    ``None`` where fewer than three tissues were chosen for, or all got the same value.
    """
    names = [name for name in truth if name in chosen]
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
    points = map_points(grid.ijk_to_ras, np.concatenate(chosen))
    moved = transform_points(points, phantom.displacement.u_mm, phantom.displacement.grid)
    return replace(known, fixed_points=points, moving_points=moved)


def table(records: Sequence[Record]) -> str:
    """Markdown: one row for each way and objective, means over the phantoms."""
    names = [name for name in records[0]["truth"] if name != BACKGROUND]
    head = ["tissues vary", "objective", "phantoms", *(f"order by {m}" for m in ("E", "μ", "λ+μ"))]
    lines = [f"| {' | '.join([*head, 'undetermined', *(f'λ, μ {n}' for n in names)])} |"]
    lines.append("|---" * (len(head) + 1 + len(names)) + "|")
    for way, objective in product(WAYS, OBJECTIVES):
        own = [r for r in records if (r["way"], r["objective"]) == (way, objective)]
        orders = [mean_sd([r["order"][key] for r in own]) for key in MEASURES]
        chosen = [[r["elasticity"][n] for r in own if n in r["elasticity"]] for n in names]
        means = ["{:.2f}, {:.2f}".format(*np.mean(v, 0)) if v else "" for v in chosen]
        unsure = sum(len(r["undetermined"]) for r in own) / sum(map(len, chosen))
        cells = [way, objective, str(len(own)), *orders, f"{100 * unsure:.0f} %", *means]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def mean_sd(values: Sequence[float | None]) -> str:
    """Mean ± standard deviation of the correlations, and how many phantoms have none."""
    there = [value for value in values if value is not None]
    if not there:
        return "none to tell"
    deviation = np.std(there, ddof=1) if len(there) > 1 else float("nan")
    missing = f" ({len(values) - len(there)} without)" if len(there) < len(values) else ""
    return f"{np.mean(there):+.2f} ± {deviation:.2f}{missing}"


def main() -> None:
    """Measure every phantom; ``stiffness.json`` and ``stiffness.md`` grow as they are done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phantoms", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first phantom")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--step", type=float, default=0.25, help="of the lattice of λ and μ")
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    for seed in range(given.first, given.first + given.phantoms):
        records += measure(seed, given.size, given.step)
        (given.out / "stiffness.json").write_text(json.dumps(records, indent=2), encoding="utf-8")
        (given.out / "stiffness.md").write_text(table(records), encoding="utf-8")
        sys.stderr.write(f"phantom {seed} done\n")
    sys.stdout.write(table(records))


if __name__ == "__main__":
    main()
