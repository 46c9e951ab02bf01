"""How long the parameters for one patient take, and how soon there is something to see of them.

python -m benchmarks.estimate --out bench-result

A cardiac stack over the grid of 66 settings by Dice of the tissues, with the shipped model that
takes one setting for everywhere and with the one that obeys tissues, where each may take its own
best of the settings that hold everywhere, or is searched alone besides; a thorax coarse-to-fine,
by the model and by the solver, and along the solver's gradient by soft Dice. Images are the
package's phantoms.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from ElasticHyperRegLib.estimation import EstimateOptions
from ElasticHyperRegLib.grid import resample, resample_labels
from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom
from ElasticHyperRegLib.phantom.heart import make_heart
from ElasticHyperRegLib.session import Session, SessionInputs
from ElasticHyperRegLib.types import Image, LabelMap

from .stack import NAME as STACK
from .stack import stack_in

HEAD = (
    "| pair | answered by | method | fields | first surface [s] | whole [s] | runs |",
    "|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True, eq=False)
class Case:
    """A pair with labels, what answers it, and how parameters are looked for.

    ``sweeps``: times that each tissue is searched alone, where the model obeys tissues.
    """

    name: str
    images: tuple[Image, Image]
    labels: tuple[LabelMap, LabelMap]
    model: str
    method: str
    sweeps: int = 1

    @property
    def options(self) -> EstimateOptions:
        """Hard Dice has no gradient."""
        objective = "soft-dice" if self.method == "gradient" else "dice"
        return EstimateOptions(objective, self.method, sweeps=self.sweeps)


def heart() -> Callable[[str], Case]:
    """The beating heart as the networks see it: 128 × 128 pixels of 1.8 mm about its middle."""
    made = make_heart()
    grid = stack_in(made.fixed.grid)

    images = [Image(resample(s.data, s.grid, grid), grid) for s in (made.fixed, made.moving)]
    labels = (
        resample_labels(made.fixed_labels, grid),
        resample_labels(made.moving_labels, grid),
    )
    return lambda model: Case(f"heart {STACK}", (images[0], images[1]), labels, model, "grid")


def thorax(size: int) -> Callable[[str], Case]:
    """The breathing thorax."""
    made = make_phantom(PhantomOptions(size=size))
    images, labels = (made.fixed, made.moving), (made.fixed_labels, made.moving_labels)
    return lambda model: Case(f"thorax {size}³", images, labels, model, "coarse-to-fine")


def cases(size: int) -> Iterator[Case]:
    """All of them."""
    stack, volume = heart(), thorax(size)
    for looks in ("", "-thrice"):
        yield stack(f"cardiac-elas-g{looks}")
        yield replace(stack(f"cardiac-elas-sas{looks}"), sweeps=0)
        yield stack(f"cardiac-elas-sas{looks}")
    yield volume("thorax-elas-g")
    yield volume("none")
    yield replace(volume("none"), method="gradient")


def estimated(session: Session, case: Case) -> tuple[float, float, int]:
    """Seconds to the first surface and to the end of one estimate, and its fields."""
    seen: list[float] = []
    begin = perf_counter()
    found = session.estimate(case.options, on_surface=lambda _: seen.append(perf_counter()))
    return seen[0] - begin, perf_counter() - begin, found.fields


def measure(case: Case, device: str, runs: int) -> str:
    """A row of the table: medians over ``runs`` estimates in one session."""
    inputs = SessionInputs(moving_labels=case.labels[1], initial="none")
    with Session(*case.images, case.labels[0], case.model, device, inputs) as session:
        firsts, wholes, fields = zip(*(estimated(session, case) for _ in range(runs)), strict=True)
    times = f"{median(firsts):.1f} | {median(wholes):.1f} | {runs}"
    method = case.method if case.sweeps else f"{case.method}, no sweep"
    return f"| {case.name} | {case.model} | {method} | {fields[0]} | {times} |"


def main() -> None:
    """Print the table, and write ``estimate.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    given = parser.parse_args()
    lines = [*HEAD]
    for case in cases(given.size):
        lines.append(measure(case, given.device, given.runs))
        sys.stderr.write(lines[-1] + "\n")
    text = "\n".join([*lines, "", f"{torch.get_num_threads()} threads.", ""])
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "estimate.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
