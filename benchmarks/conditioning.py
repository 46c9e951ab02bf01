"""Has a network learnt what λ and μ do? Its answers beside the exact solver's, setting by setting.

python -m benchmarks.conditioning cardiac-elas-g --data acdc --out bench-result
python -m benchmarks.conditioning thorax-elas-g --data thorax --out bench-result

Over a grid of (λ, μ), on the validation pairs of the model's configuration: the field's elastic
energy and the similarity of network and solver, their rank correlation, and how far the network's
objective, the one it was trained on, lies above the solver's. Of a model that obeys tissues also:
the same at settings drawn for each tissue, and what raising one tissue's μ does to the shear of
that tissue and of the others, in the network and in the solver.

Slices are solved as the solver always does. In volumes it goes on for ``PASSES`` on cells of as
many voxels a side as the network's: smaller ones (``--cell 1``) let it follow the noise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ElasticHyperRegLib.energies import domain_mean, elastic_density
from ElasticHyperRegLib.field import warp_voxels
from ElasticHyperRegLib.networks import RegistrationNetwork
from ElasticHyperRegLib.solver import Problem, SolverOptions, solve
from ElasticHyperRegLib.types import Grid
from ElasticHyperRegLib.weights import load_model
from training.batches import Batch, collate
from training.conditioning import condition, draw
from training.config import TrainingConfig, read_config
from training.data import open_source
from training.loss import Measure, Objective, masks_of, objective
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
SOFT, STIFF = (0.0, 0.1), (0.0, 0.6)
UNEVEN, UNEVEN_SEED = 8, 7
"""How many settings are drawn tissue by tissue."""
FEWEST = 500
"""Voxels of a tissue, in all pairs together, without which its shear is not looked at."""
PASSES, TOLERANCE = 100, 1e-5
"""Of the solver on the finest level of a volume."""
WIDE = 100
"""Factor between values from which on they are plotted by their logarithm."""
DARK, ROOM = 70, 4
"""Change in % from which on its number is white; names that fit beside each other."""
CONFIGS = Path(__file__).resolve().parents[1] / "training" / "configs"


@dataclass(frozen=True, eq=False)
class Case:
    """A model, and what it is asked.

    Attributes:
        model: the network.
        batch: all pairs.
        about: the objective that it was trained on.
        tissues: label from 0 up, none left out → name.
        solver: how the minimum is looked for.
    """

    model: RegistrationNetwork
    batch: Batch
    about: Measure
    tissues: dict[int, str]
    solver: SolverOptions

    @property
    def voxel_mm(self) -> torch.Tensor:
        """Spacing, to turn fields (N, D, *shape) from voxels to mm, (1, D, 1, …)."""
        spacing = self.about.spacing
        return self.batch.fixed.new_tensor(spacing).view(1, -1, *[1] * len(spacing))


@dataclass(frozen=True)
class Row:
    """Means over the pairs at one setting; energies are without λ and μ of the weight 1."""

    setting: tuple[float, float]
    network: tuple[float, float, float]
    solver: tuple[float, float, float]


def terms(case: Case, u_vox: torch.Tensor, values: torch.Tensor) -> Objective:
    """Objective of fields at values (1, T, H), pair by pair."""
    batch = case.batch
    chosen = condition(case.about.spec, values.expand(len(u_vox), -1, -1), batch.fixed_labels)
    warped = warp_voxels(batch.moving, u_vox)
    masks = masks_of(batch, u_vox)
    return objective(batch.fixed, warped, u_vox * case.voxel_mm, chosen, case.about, masks)


def measured(
    case: Case, u_vox: torch.Tensor, setting: tuple[float, float]
) -> tuple[float, float, float]:
    """Objective, 1 − cc² and elastic energy at (λ, μ) = (1, 1), means over the pairs."""
    found = terms(case, u_vox, everywhere(setting))
    weight = 1 - sum(setting)
    energy = elastic_density(u_vox * case.voxel_mm, case.about.spacing, 1.0, 1.0)
    return (
        float(found.total.mean()),
        float(found.similarity.mean()) / weight,
        float(domain_mean(energy).mean()),
    )


def compare(case: Case) -> list[Row]:
    """Network and solver at every setting."""
    rows = []
    for lam, mu in SETTINGS:
        values = everywhere((lam, mu))
        fields = network_fields(case, values), solver_fields(case, values)
        pair = [measured(case, u_vox, (lam, mu)) for u_vox in fields]
        rows.append(Row((lam, mu), pair[0], pair[1]))
        sys.stderr.write(f"{lam:g}, {mu:g}: {pair[0][0]:.4f} {pair[1][0]:.4f}\n")
    return rows


def rank_correlation(a: list[float], b: list[float]) -> float:
    """Spearman's, without ties."""
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def summary(rows: list[Row]) -> dict[str, float]:
    """What the issue of the matter is; a network whose order is right may still hardly react."""
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


def uneven(case: Case) -> float:
    """Objective, network over solver, median over settings drawn for each tissue."""
    generator = torch.Generator().manual_seed(UNEVEN_SEED)

    ratios = []
    for _ in range(UNEVEN):
        values = draw(len(case.tissues), 2, generator)[None]
        fields = network_fields(case, values), solver_fields(case, values)
        mine, exact = (terms(case, u_vox, values).total.mean() for u_vox in fields)
        ratios.append(float(mine / exact))
    return float(np.median(ratios))


def shear(u_mm: torch.Tensor, spacing: tuple[float, ...]) -> torch.Tensor:
    """Deviatoric strain's squared norm, tr(ε²) − (tr ε)²/D, at the voxels, (N, *shape)."""
    return elastic_density(u_mm, spacing, -2 / len(spacing), 1.0)


Effects = dict[str, dict[str, float]]
"""Raised tissue → every tissue → relative change of its mean shear."""


def tissue_effects(case: Case, register: Callable[[Case, torch.Tensor], torch.Tensor]) -> Effects:
    """What raising one tissue's μ from ``SOFT`` to ``STIFF`` does to the shear of all.

    Args:
        case: with labels; tissues of fewer than ``FEWEST`` voxels are left out.
        register: values (1, T, H) → displacement (N, D, *shape) in voxels.
    """
    assert case.batch.fixed_labels is not None  # a model that obeys tissues was trained with them
    labels = case.batch.fixed_labels[:, 0]
    present = {
        label: name for label, name in case.tissues.items() if (labels == label).sum() >= FEWEST
    }

    def by_tissue(values: torch.Tensor) -> dict[str, float]:
        field = shear(register(case, values) * case.voxel_mm, case.about.spacing)
        return {name: float(field[labels == label].mean()) for label, name in present.items()}

    soft = torch.tensor([[SOFT] * len(case.tissues)])
    before = by_tissue(soft)
    effects = {}
    for label, raised in present.items():
        values = soft.clone()
        values[0, label] = torch.tensor(STIFF)
        after = by_tissue(values)
        effects[raised] = {name: after[name] / before[name] - 1 for name in before}
    return effects


def network_fields(case: Case, values: torch.Tensor) -> torch.Tensor:
    """The network's displacement in voxels at values (1, T, H)."""
    return register_pair(case.model, case.batch, values).displacement


def solver_fields(case: Case, values: torch.Tensor) -> torch.Tensor:
    """The exact solver's displacement in voxels at values (1, T, H), painted as the model's."""
    batch, spacing = case.batch, case.about.spacing
    chosen = values.expand(len(batch.fixed), -1, -1)
    maps = condition(case.about.spec, chosen, batch.fixed_labels)
    assert maps.mu is not None  # an elastic model
    shape = tuple(batch.fixed.shape[2:])
    grid = Grid.from_spacing(shape, spacing)
    lam, mu = (value.expand(-1, 1, *shape) for value in (maps.lam, maps.mu))
    problem = Problem(
        batch.fixed,
        batch.moving,
        grid,
        grid,
        lam,
        mu,
        fixed_mask=batch.fixed_mask,
        moving_mask=batch.moving_mask,
    )
    return solve(problem, case.solver).u_mm / case.voxel_mm


def solver_options(about: Measure, cell: float | None, passes: int | None) -> SolverOptions:
    """The usual ones with the window of ``about``; a volume gets more passes on finer cells.

    Args:
        about: what is minimised.
        cell: voxels a side on the finest level; ``None``: 1 in slices, the network's in volumes.
        passes: at most so many there; ``None``: the usual ones in slices, ``PASSES`` in volumes.
    """
    usual = SolverOptions.for_dimension(about.spec.ndim)
    finest = replace(usual.levels[-1], window=about.window)
    if about.spec.ndim == 3:
        finest = replace(finest, iterations=PASSES, control=about.spec.patch)
        usual = replace(usual, tolerance=TOLERANCE)
    finest = replace(finest, iterations=passes or finest.iterations, control=cell or finest.control)
    return replace(usual, levels=(*usual.levels[:-1], finest))


def plot_effects(effects: dict[str, Effects], path: Path) -> None:
    """A matrix for each of network and solver: raised tissue by row, change by column."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    for axis, (who, found) in zip(figure.subplots(1, len(effects)), effects.items(), strict=True):
        values = 100 * np.array([list(row.values()) for row in found.values()])
        axis.imshow(values, cmap="RdBu", vmin=-100, vmax=100)
        for row, column in np.ndindex(values.shape):
            value = values[row, column]
            color = "white" if abs(value) > DARK else "black"
            axis.text(column, row, f"{value:+.0f} %", ha="center", va="center", color=color)
        names = [name.replace("_", "\n") for name in found]
        axis.set_xticks(range(len(names)), names, rotation=0 if len(names) <= ROOM else 30)
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
        low, high = min(x + y), max(x + y)
        if high > WIDE * low:
            axis.set(xscale="log", yscale="log")
        else:
            low = 0
        axis.plot([low, high], [low, high], color="0.8", zorder=0)
        axis.scatter(x, y, s=18)
        for number, place in enumerate(np.argsort(x)):
            text = "{:g}, {:g}".format(*rows[place].setting)
            tilt, side = (35, "bottom") if number % 2 else (-35, "top")  # apart from each other
            axis.annotate(text, (x[place], y[place]), fontsize=6, rotation=tilt, va=side)
        axis.set(title=titles[index], xlabel="exact solver", ylabel=name)
    figure.savefig(path, dpi=120)


def open_case(given: argparse.Namespace, config: TrainingConfig) -> Case:
    """The model and the pairs that it is asked about."""
    model, _ = load_model(given.model)
    data, window = config.data, config.card.intensity_window
    source = open_source(data.source, given.data, given.split, data.validation_options, window)
    rng = np.random.default_rng(0)
    count = min(given.pairs or len(source), len(source))
    batch = collate([source.sample(index, rng) for index in range(count)])
    about = Measure(model.spec, source.spacing, config.optimisation.window)
    solver = solver_options(about, given.cell, given.passes)
    return Case(model, batch, about, source.label_names, solver)


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--config", type=Path, help="that it was trained by, if not of its name")
    parser.add_argument("--data", type=Path, help="phantoms are kept there, if it is given")
    parser.add_argument("--split", default="val")
    parser.add_argument("--pairs", type=int, help="the first so many alone")
    parser.add_argument("--cell", type=float, help="side of the solver's cells, voxels")
    parser.add_argument("--passes", type=int, help="of the solver on the finest level")
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    return parser.parse_args()


def main() -> None:
    """Compare one model, write ``conditioning-NAME.json`` and ``.png``."""
    given = arguments()
    name = Path(given.model).name
    case = open_case(given, read_config(given.config or CONFIGS / f"{name}.toml"))
    rows = compare(case)
    found: dict[str, object] = {"pairs": len(case.batch.fixed), **summary(rows)}
    found["rows"] = [asdict(row) for row in rows]
    given.out.mkdir(parents=True, exist_ok=True)
    if case.model.spec.conditioning != "global":
        effects = {
            name: tissue_effects(case, network_fields),
            "exact solver": tissue_effects(case, solver_fields),
        }
        found["change of the shear"] = effects
        found["objective by tissue, network over solver, median"] = uneven(case)
        plot_effects(effects, given.out / f"tissues-{name}.png")
    text = json.dumps(found, indent=2)
    (given.out / f"conditioning-{name}.json").write_text(text + "\n", encoding="utf-8")
    plot(rows, name, given.out / f"conditioning-{name}.png")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
