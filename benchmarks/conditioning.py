"""Has a network learnt what λ and μ do? Its answers beside the exact solver's, setting by setting.

python -m benchmarks.conditioning cardiac-elas-g --data acdc --out bench-result

Over a grid of (λ, μ), on ACDC's validation pairs: the field's elastic energy and the similarity of
network and solver, their rank correlation, and how far the network's objective lies above the
solver's. Of a model that obeys tissues also: the same at settings drawn for each tissue, and what
raising one tissue's μ does to the shear of that tissue and of the others, in the network and in
the solver.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ElasticHyperRegLib.energies import elastic_density, forward_gradient
from ElasticHyperRegLib.field import warp_voxels
from ElasticHyperRegLib.networks import ModelSpec, RegistrationNetwork
from ElasticHyperRegLib.solver import Problem, solve
from ElasticHyperRegLib.types import Grid
from ElasticHyperRegLib.weights import load_model
from training.batches import Batch, collate
from training.conditioning import condition, draw
from training.data import open_source
from training.data.acdc import LABELS
from training.data.pair import PairSource
from training.loss import Measure, Objective, objective
from training.validation import everywhere, register_pair

SETTINGS = (
    (0.0, 0.05),
    (0.0, 0.1),
    (0.05, 0.15),
    (0.0, 0.2),
    (0.2, 0.2),
    (0.0, 0.3),
    (0.4, 0.2),
    (0.1, 0.6),
    (0.6, 0.2),
    (0.05, 0.9),
)
WINDOW = 21
SOFT, STIFF = (0.0, 0.1), (0.0, 0.6)
UNEVEN, UNEVEN_SEED = 8, 7
"""How many settings are drawn tissue by tissue."""


@dataclass(frozen=True)
class Row:
    """Means over the pairs at one setting; energies are without λ and μ of the weight 1."""

    setting: tuple[float, float]
    network: tuple[float, float, float]
    solver: tuple[float, float, float]


def terms(
    model: RegistrationNetwork,
    batch: Batch,
    source: PairSource,
    u_vox: torch.Tensor,
    values: torch.Tensor,
) -> Objective:
    """Objective of fields at values (1, T, H), pair by pair."""
    chosen = condition(model.spec, values.expand(len(u_vox), -1, -1), batch.fixed_labels)
    u_mm = u_vox * u_vox.new_tensor(source.spacing).view(1, -1, 1, 1)
    about = Measure(model.spec, source.spacing, WINDOW)
    return objective(batch.fixed, warp_voxels(batch.moving, u_vox), u_mm, chosen, about)


def measured(
    model: RegistrationNetwork,
    batch: Batch,
    source: PairSource,
    u_vox: torch.Tensor,
    setting: tuple[float, float],
) -> tuple[float, float, float]:
    """Objective, 1 − cc² and elastic energy at (λ, μ) = (1, 1), means over the pairs."""
    found = terms(model, batch, source, u_vox, everywhere(setting))
    weight = 1 - sum(setting)
    scale = u_vox.new_tensor(source.spacing).view(1, -1, 1, 1)
    energy = elastic_density(u_vox * scale, source.spacing, 1.0, 1.0)
    return (
        float(found.total.mean()),
        float(found.similarity.mean()) / weight,
        float(energy.mean()),
    )


def compare(model: RegistrationNetwork, source: PairSource, batch: Batch) -> list[Row]:
    """Network and solver at every setting."""
    rows = []
    for lam, mu in SETTINGS:
        u_vox = network_fields(model, batch, everywhere((lam, mu)))
        solved = solver_fields(model.spec, source, batch, everywhere((lam, mu)))
        pair = [measured(model, batch, source, u, (lam, mu)) for u in (u_vox, solved)]
        rows.append(Row((lam, mu), pair[0], pair[1]))
        sys.stderr.write(f"{lam:g}, {mu:g}: {pair[0][0]:.4f} {pair[1][0]:.4f}\n")
    return rows


def rank_correlation(a: list[float], b: list[float]) -> float:
    """Spearman's, without ties."""
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def summary(rows: list[Row]) -> dict[str, float]:
    """What the issue of the matter is."""
    ratios = [row.network[0] / row.solver[0] for row in rows]
    return {
        "rank correlation of the energy": rank_correlation(
            [row.network[2] for row in rows], [row.solver[2] for row in rows]
        ),
        "rank correlation of the similarity": rank_correlation(
            [row.network[1] for row in rows], [row.solver[1] for row in rows]
        ),
        "objective, network over solver, median": float(np.median(ratios)),
        "objective, network over solver, highest": max(ratios),
    }


def uneven(model: RegistrationNetwork, source: PairSource, batch: Batch) -> float:
    """Objective, network over solver, median over settings drawn for each tissue."""
    generator = torch.Generator().manual_seed(UNEVEN_SEED)

    ratios = []
    for _ in range(UNEVEN):
        values = draw(len(LABELS), 2, generator)[None]
        fields = (
            network_fields(model, batch, values),
            solver_fields(model.spec, source, batch, values),
        )
        mine, exact = (terms(model, batch, source, u, values).total.mean() for u in fields)
        ratios.append(float(mine / exact))
    return float(np.median(ratios))


def shear(u_vox: torch.Tensor) -> torch.Tensor:
    """Deviatoric strain's squared norm at the cells, (N, *cells), of fields on square voxels."""
    g = forward_gradient(u_vox, (1.0,) * u_vox.shape[1])
    mean = torch.stack([g[a][a] for a in range(len(g))]).mean(0)
    total = torch.zeros_like(mean)
    for a in range(len(g)):
        for b in range(len(g)):
            strain = (g[a][b] + g[b][a]) / 2 - (mean if a == b else 0)
            total = total + strain.square()
    return total


Effects = dict[str, dict[str, float]]
"""Raised tissue → every tissue → relative change of its mean shear."""


def tissue_effects(register: Callable[[torch.Tensor], torch.Tensor], batch: Batch) -> Effects:
    """What raising one tissue's μ from ``SOFT`` to ``STIFF`` does to the shear of all.

    Args:
        register: values (1, T, H) → displacement (N, D, *shape) in voxels.
        batch: with labels, those of ACDC.
    """
    assert batch.fixed_labels is not None  # ACDC has them
    labels = batch.fixed_labels[:, 0, :-1, :-1]

    def by_tissue(values: torch.Tensor) -> dict[str, float]:
        field = shear(register(values))
        return {name: float(field[labels == label].mean()) for label, name in LABELS.items()}

    soft = torch.tensor([[SOFT] * len(LABELS)])
    before = by_tissue(soft)
    effects = {}
    for label, raised in LABELS.items():
        values = soft.clone()
        values[0, label] = torch.tensor(STIFF)
        after = by_tissue(values)
        effects[raised] = {name: after[name] / before[name] - 1 for name in before}
    return effects


def network_fields(model: RegistrationNetwork, batch: Batch, values: torch.Tensor) -> torch.Tensor:
    """The network's displacement in voxels at values (1, T, H)."""
    return register_pair(model, batch, values).displacement


def solver_fields(
    spec: ModelSpec, source: PairSource, batch: Batch, values: torch.Tensor
) -> torch.Tensor:
    """The exact solver's displacement in voxels at values (1, T, H), painted as the model's."""
    maps = condition(spec, values.expand(len(batch.fixed), -1, -1), batch.fixed_labels)
    assert maps.mu is not None  # an elastic model
    grid = Grid.from_spacing(source.shape, source.spacing)
    lam, mu = (value.expand(-1, 1, *source.shape) for value in (maps.lam, maps.mu))
    found = solve(Problem(batch.fixed, batch.moving, grid, grid, lam, mu))
    return found.u_mm / found.u_mm.new_tensor(source.spacing).view(1, -1, 1, 1)


def plot_effects(effects: dict[str, Effects], path: Path) -> None:
    """A matrix for each of network and solver: raised tissue by row, change by column."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    for axis, (who, found) in zip(figure.subplots(1, len(effects)), effects.items(), strict=True):
        values = 100 * np.array([list(row.values()) for row in found.values()])
        axis.imshow(values, cmap="RdBu", vmin=-100, vmax=100)
        for row, column in np.ndindex(values.shape):
            axis.text(column, row, f"{values[row, column]:+.0f} %", ha="center", va="center")
        names = [name.replace("_", "\n") for name in found]
        axis.set_xticks(range(len(names)), names)
        axis.set_yticks(range(len(names)), names)
        axis.set(title=who, xlabel="change of the shear in", ylabel="μ 0.1 → 0.6 in")
    figure.savefig(path, dpi=120)


def plot(rows: list[Row], name: str, path: Path) -> None:
    """Network against solver: energy, similarity, objective."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.8), layout="constrained")
    titles = ("objective", "1 − cc²", "elastic energy at λ = μ = 1")
    for index, axis in enumerate(figure.subplots(1, 3)):
        x = [row.solver[index] for row in rows]
        y = [row.network[index] for row in rows]
        axis.plot([0, max(x + y)], [0, max(x + y)], color="0.8", zorder=0)
        axis.scatter(x, y, s=18)
        for row, a, b in zip(rows, x, y, strict=True):
            text = f"{row.setting[0]:g}, {row.setting[1]:g}"
            axis.annotate(text, (a, b), fontsize=6, rotation=-35, va="top")
        axis.set(title=titles[index], xlabel="exact solver", ylabel=name)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Compare one model, write ``conditioning-NAME.json`` and ``.png``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    model, _ = load_model(given.model)
    source = open_source("acdc", given.data, given.split, {"slices": "middle"})
    rng = np.random.default_rng(0)
    batch = collate([source.sample(index, rng) for index in range(len(source))])
    rows = compare(model, source, batch)
    found: dict[str, object] = {"pairs": len(source), **summary(rows)}
    given.out.mkdir(parents=True, exist_ok=True)
    if model.spec.conditioning != "global":
        effects = {
            given.model: tissue_effects(partial(network_fields, model, batch), batch),
            "exact solver": tissue_effects(
                partial(solver_fields, model.spec, source, batch), batch
            ),
        }
        found["change of the shear"] = effects
        found["objective by tissue, network over solver, median"] = uneven(model, source, batch)
        plot_effects(effects, given.out / f"tissues-{given.model}.png")
    text = json.dumps(found, indent=2)
    (given.out / f"conditioning-{given.model}.json").write_text(text + "\n", encoding="utf-8")
    plot(rows, given.model, given.out / f"conditioning-{given.model}.png")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
