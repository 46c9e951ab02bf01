"""How fast a live session answers a moved slider, beside the same network run naively.

python -m benchmarks.live --device cpu --out bench-result

A stack of ten slices answered by the shipped cardiac models, a thorax answered by the solver alone
and by the shipped thorax models, all with one λ, μ everywhere. Images are the package's phantom.
Times are those from the request to the answer with its Jacobian and three warped slices, over
random slider moves, each made as soon as the answer to the one before is there. Naively means: the
whole network for every move, as a script would. Then a storm: 50 requests a second, and how long
the last of them waits for its field.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from ElasticHyperRegLib.engine.network_grid import network_grid
from ElasticHyperRegLib.field import jacobian_determinant, lift_slices, vox_to_mm, warp
from ElasticHyperRegLib.grid import resample
from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom
from ElasticHyperRegLib.session import Answer, Session, SessionInputs
from ElasticHyperRegLib.session.devices import pick
from ElasticHyperRegLib.types import Grid, Image
from ElasticHyperRegLib.weights import find_model, load_model

from .stack import NAME as STACK
from .stack import stack_in

NONE = "none"
THORAX = ("thorax-elas-g", "thorax-CSAIN-elastic")
CARDIAC = ("cardiac-elas-g", "cardiac-elas-g-thrice")
WINDOW = (-1000, 600)
"""Intensities of the phantom, a CT."""
EVENTS_A_SECOND = 50
FIRST, BETTER, LAST = "first", "better", "last"
HEAD = "| pair | answered by | what | median [ms] | slowest 5 % [ms] | moves |"
Value = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Case:
    """A pair, what answers it and where, and how many moves are made."""

    name: str
    fixed: Image
    moving: Image
    model: str
    device: str
    moves: int


def cases(size: int, device: str, moves: int) -> list[Case]:
    """A stack of thick slices and a thorax, both cut from the phantom."""
    made = make_phantom(PhantomOptions(size=size))
    grid = stack_in(made.fixed.grid)
    pair = [Image(resample(s.data, s.grid, grid), grid) for s in (made.fixed, made.moving)]
    thorax = made.fixed, made.moving
    return [
        *(Case(f"stack {STACK}", pair[0], pair[1], model, device, moves) for model in CARDIAC),
        Case(f"thorax {size}³", *thorax, NONE, device, moves),
        *(Case(f"thorax {size}³", *thorax, model, device, moves) for model in THORAX),
    ]


def values(moves: int) -> Iterator[Value]:
    """Random settings, uniform over the simplex λ + μ ≤ 1."""
    random = np.random.default_rng(0)
    for lam, mu, _ in random.dirichlet((1, 1, 1), moves):
        yield float(lam), float(mu)


def slices(moving: Image, grid: Grid, u_mm: torch.Tensor) -> None:
    """Warp the middle slice of each axis."""
    for axis, length in enumerate(grid.shape):
        middle = u_mm.narrow(2 + axis, length // 2, 1)
        matrix = grid.ijk_to_ras.copy()
        matrix[:3, 3] += matrix[:3, 2 - axis] * (length // 2)
        shape = [1 if a == axis else n for a, n in enumerate(grid.shape)]
        warp(moving.data, middle, Grid(tuple(shape), matrix), moving.grid)


class Watch:
    """Takes the answers of one request and notes when they came.

    Attributes:
        seconds: ``first``, ``better`` (the first that is no preview) and ``last`` → seconds.
        seen: which answers these were.
    """

    def __init__(self, session: Session, moving: Image) -> None:
        self._session, self._moving = session, moving
        self._news = threading.Condition()
        self._fault: Exception | None = None
        self.seconds: dict[str, float] = {}
        self.seen: dict[str, str] = {}
        self._begin = perf_counter()

    def submit(self, value: Value) -> None:
        """Move the slider."""
        self._begin = perf_counter()
        self._session.submit(value, self, self.fault)

    def __call__(self, answer: Answer) -> None:
        """Show an answer."""
        slices(self._moving, self._session.grid, answer.displacement.u_mm)
        marks = [FIRST, *([] if answer.stage == "preview" else [BETTER])]
        with self._news:
            for mark in [*marks, *([LAST] if answer.final else [])]:
                self.seconds.setdefault(mark, perf_counter() - self._begin)
                self.seen.setdefault(mark, answer.stage)
            self._news.notify()

    def fault(self, error: Exception) -> None:
        """Hand ``error`` to whoever waits."""
        with self._news:
            self._fault = error
            self._news.notify()

    def wait(self, mark: str) -> None:
        """Until that answer is there."""
        with self._news:
            self._news.wait_for(lambda: mark in self.seconds or self._fault)
            if self._fault:
                raise self._fault


def live(case: Case, storm_s: float) -> tuple[dict[str, list[float]], str]:
    """What was answered → seconds of every move, and what the storm came to."""
    took: dict[str, list[float]] = {}
    inputs = SessionInputs(initial="none")
    begin = perf_counter()
    pair = case.fixed, case.moving
    with Session(*pair, model=case.model, device=case.device, inputs=inputs) as session:
        ready = perf_counter() - begin
        warm = Watch(session, case.moving)
        warm.submit((0.1, 0.3))
        warm.wait(LAST)
        while not session.foresees:  # as between two drags
            time.sleep(0.005)
        for value in values(case.moves):
            watch = Watch(session, case.moving)
            watch.submit(value)
            watch.wait(BETTER)
            for mark in (FIRST, BETTER):
                took.setdefault(f"{mark}: {watch.seen[mark]}", []).append(watch.seconds[mark])
        said = f"ready after {ready:.1f} s, first answer settled after {warm.seconds[LAST]:.1f} s"
        return took, f"{said}; {storm(session, case.moving, storm_s)}"


def storm(session: Session, moving: Image, seconds: float) -> str:
    """Requests at a steady pace; how long the last waits, and what is left of them."""
    gc.collect()
    memory, events = resident_mib(), max(1, round(seconds * EVENTS_A_SECOND))
    begin = perf_counter()
    for number, value in enumerate(values(events)):
        time.sleep(max(0.0, begin + number / EVENTS_A_SECOND - perf_counter()))
        watch = Watch(session, moving)
        watch.submit(value)
    watch.wait(BETTER)
    gc.collect()
    grown = resident_mib() - memory
    return (
        f"storm of {events} requests in {seconds:g} s: field of the last after "
        f"{1e3 * watch.seconds[FIRST]:.0f} ms ({watch.seen[FIRST]}), "
        f"{1e3 * watch.seconds[BETTER]:.0f} ms ({watch.seen[BETTER]}), memory {grown:+.0f} MiB"
    )


def resident_mib() -> float:
    """Memory that this process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def naive(case: Case) -> list[float]:
    """Seconds of the whole network, the Jacobian and the slices for every move."""
    network, card = load_model(find_model(case.model))
    grid, stack = network_grid(card, case.fixed.grid), card.model.ndim == 2
    low, high = WINDOW
    device = pick(case.device)
    network = network.to(device)
    images = [
        ((resample(side.data, side.grid, grid).clamp(low, high) - low) / (high - low)).to(device)
        for side in (case.fixed, case.moving)
    ]
    if stack:
        images = [image[0].movedim(0, 1) for image in images]
    took = []
    for value in values(case.moves):
        begin = perf_counter()
        given = torch.tensor([value], device=device)
        if card.model.conditioning == "map":
            given = given.view(1, 2, *[1] * card.model.ndim).expand(-1, -1, *images[0].shape[2:])
        with torch.no_grad():
            u_vox = network(*images, given).displacement
        u_mm = lift_slices(u_vox, grid) if stack else vox_to_mm(u_vox, grid)
        jacobian_determinant(u_mm, grid).cpu()
        slices(case.moving, grid, u_mm.cpu())
        took.append(perf_counter() - begin)
    return took


def rows(case: Case, storm_s: float) -> tuple[list[str], str]:
    """Lines of the table, and a remark on the case."""
    before = threading.active_count()
    took, remark = live(case, storm_s)
    left = threading.active_count() - before
    if case.model != NONE:
        took["the network, naively"] = naive(case)
    by = "the solver" if case.model == NONE else case.model
    lines = [
        f"| {case.name} | {by} | {what} | {1e3 * np.median(seconds):.0f} | "
        f"{1e3 * np.percentile(seconds, 95):.0f} | {len(seconds)} |"
        for what, seconds in sorted(took.items())
    ]
    return lines, f"{case.name}, {by}: {remark}; {left} threads left"


def main() -> None:
    """Measure all cases and write ``live.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=40)
    parser.add_argument("--size", type=int, default=96, help="of the thorax, voxels a side")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--storm", type=float, default=10.0, help="seconds")
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    lines, remarks = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"], [""]
    for case in cases(given.size, given.device, given.moves):
        found, remark = rows(case, given.storm)
        lines, remarks = lines + found, [*remarks, f"- {remark}"]
        text = "\n".join([*lines, *remarks]) + "\n"
        (given.out / "live.md").write_text(text, encoding="utf-8")
        sys.stderr.write(f"{remark}\n")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
