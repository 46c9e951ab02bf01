"""How fast a live session answers a moved slider, beside the same network run naively.

python -m benchmarks.live --moves 40 --out bench-result

Times are those from the request to the answer with its Jacobian and three warped slices, over
random slider moves. The networks are the published ones with random weights, which changes their
answers but not their time. Naively means: the whole network for every move, as a script would.
"""

from __future__ import annotations

import argparse
import os
import queue
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from ElasticHyperRegLib.field import jacobian_determinant, lift_slices, vox_to_mm, warp
from ElasticHyperRegLib.grid import resample
from ElasticHyperRegLib.networks import SPECS, HyperMorphOptions, ModelSpec, build
from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom
from ElasticHyperRegLib.session import Answer, Session, SessionInputs
from ElasticHyperRegLib.types import Grid, Image
from ElasticHyperRegLib.weights import save_model

MODELS = "ELASTIC_HYPERREG_MODELS"
NONE = "none"
TRAINING = {"data": "none", "licence": "none", "command": "", "log": "", "revision": "", "seed": 0}
Value = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Pair:
    """A pair and the network that answers it."""

    name: str
    fixed: Image
    moving: Image
    spec: ModelSpec


def pairs() -> list[Pair]:
    """A stack of ten thick slices and a thorax, both cut from the phantom."""
    made = make_phantom(PhantomOptions(size=96))
    small = replace(SPECS["elas-g"], options=HyperMorphOptions(rank=16))
    extent = np.asarray(made.fixed.grid.size) * np.asarray(made.fixed.grid.spacing)
    grid = Grid.from_spacing((10, 128, 128), tuple(extent / (128, 128, 10)))
    corner = made.fixed.grid.ijk_to_ras[:3, 3] + np.asarray(grid.spacing) / 2
    grid = Grid.from_spacing(grid.shape, grid.spacing, tuple(corner))
    sides = [
        Image(resample(side.data, side.grid, grid), grid) for side in (made.fixed, made.moving)
    ]
    return [
        Pair("stack 128×128×10", sides[0], sides[1], replace(small, ndim=2)),
        Pair("thorax 96³", made.fixed, made.moving, small),
    ]


def install(pair: Pair, folder: Path) -> None:
    """Save the pair's network, with random weights, where the session finds it."""
    ndim, grid = pair.spec.ndim, pair.fixed.grid
    expects = {
        "modality": "CT",
        "spacing_mm": list(grid.spacing[:ndim]),
        "size": list(grid.size[:ndim]),
        "intensity_window": [-1000, 600],
    }
    about = {"expects": expects, "training": TRAINING, "licence": "none", "metrics": {}}
    torch.manual_seed(0)
    save_model(build(pair.spec), about, folder / "network")


def values(moves: int) -> Iterator[Value]:
    """Random settings, uniform over the simplex λ + μ ≤ 1."""
    random = np.random.default_rng(0)
    for lam, mu, _ in random.dirichlet((1, 1, 1), moves):
        yield float(lam), float(mu)


def slices(pair: Pair, grid: Grid, u_mm: torch.Tensor) -> None:
    """Warp the middle slice of each axis."""
    for axis, length in enumerate(grid.shape):
        middle = u_mm.narrow(2 + axis, length // 2, 1)
        matrix = grid.ijk_to_ras.copy()
        matrix[:3, 3] += matrix[:3, 2 - axis] * (length // 2)
        shape = [1 if a == axis else n for a, n in enumerate(grid.shape)]
        warp(pair.moving.data, middle, Grid(tuple(shape), matrix), pair.moving.grid)


def live(pair: Pair, model: str, moves: int) -> dict[str, list[float]]:
    """Stage → seconds of the first answer of that stage, and of the last answer."""
    took: dict[str, list[float]] = {}
    inputs = SessionInputs(initial="none")
    with Session(pair.fixed, pair.moving, model=model, device="cpu", inputs=inputs) as session:
        for number, value in enumerate(values(moves + 1)):
            answers: queue.Queue[tuple[float, Answer] | Exception] = queue.Queue()
            begin = perf_counter()

            def show(
                answer: Answer,
                begin: float = begin,
                answers: queue.Queue[tuple[float, Answer] | Exception] = answers,
            ) -> None:
                slices(pair, session.grid, answer.displacement.u_mm)
                answers.put((perf_counter() - begin, answer))

            session.submit(value, show, answers.put)
            seen: set[str] = set()
            while "settled" not in seen:
                got = answers.get()
                if isinstance(got, Exception):
                    raise got
                stage = "settled" if got[1].final else str(got[1].stage)
                if stage not in seen and number > 0:  # the first warms up
                    took.setdefault(stage, []).append(got[0])
                seen.add(stage)
            while not session.foresees:  # let it find its derivatives, as between two drags
                time.sleep(0.005)
    return took


def naive(pair: Pair, moves: int) -> list[float]:
    """Seconds of the whole network, the Jacobian and the slices for every move."""
    network, grid = build(pair.spec).eval(), pair.fixed.grid
    stack = pair.spec.ndim < grid.ndim
    images = [
        resample(side.data, side.grid, grid).clamp(-1000, 600) / 1600
        for side in (pair.fixed, pair.moving)
    ]
    if stack:
        images = [image[0].movedim(0, 1) for image in images]
    took = []
    for value in values(moves):
        begin = perf_counter()
        with torch.no_grad():
            flow = network(*images, torch.tensor([value]))
        u_mm = lift_slices(flow.displacement, grid) if stack else vox_to_mm(flow.displacement, grid)
        jacobian_determinant(u_mm, grid)
        slices(pair, grid, u_mm)
        took.append(perf_counter() - begin)
    return took


def rows(pair: Pair, moves: int) -> list[str]:
    """Lines of the table."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[MODELS] = folder
        install(pair, Path(folder))
        found = {
            **{f"network, {k}": v for k, v in live(pair, "network", moves).items()},
            **{f"solver alone, {k}": v for k, v in live(pair, NONE, moves).items()},
            "network, naively": naive(pair, moves),
        }
    return [
        f"| {pair.name} | {what} | {1e3 * np.median(took):.0f} | "
        f"{1e3 * np.percentile(took, 95):.0f} | {len(took)} |"
        for what, took in found.items()
    ]


def main() -> None:
    """Measure both pairs and write ``live.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=40)
    parser.add_argument("--pairs", default="stack,thorax")
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    given = parser.parse_args()
    lines = ["| pair | answer | median [ms] | slowest 5 % [ms] | moves |", "|---|---|---|---|---|"]
    for pair in pairs():
        if pair.name.split()[0] in given.pairs.split(","):
            lines += rows(pair, given.moves)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "live.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
