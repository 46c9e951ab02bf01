"""λ and μ estimated for one pair of files."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..engine import Progress, RegistrationRequest
from ..engine.elasticity import EVERYWHERE, check_tissues
from ..engine.model import model_choice
from ..engine.request import AUTO, NONE
from ..errors import InputError
from ..estimation import Estimate, EstimateOptions, Evidence, plot_surfaces
from ..estimation.evidence import usual_objective
from ..io import atomic_path
from ..session import Session
from ..tissues import relative_moduli
from .pair import PairFiles, read_request
from .progress import progress_bar
from .settings import Settings
from .summary import RESEARCH_USE


@dataclass(frozen=True)
class Search:
    """How λ and μ are looked for, as in ``EstimateOptions``.

    Attributes:
        objective: in words; ``None`` leaves that to ``usual_objective``.
        step: ``None`` for the usual, as in ``sweeps``; neither is for the method gradient.
    """

    objective: str | None = None
    method: str = "grid"
    step: float | None = None
    sweeps: int | None = None

    def options(self, usual: str) -> EstimateOptions:
        """With ``usual`` for an objective that was not given.

        Raises:
            InputError: a value is out of range, or of no meaning to the method.
        """
        options = EstimateOptions(usual if self.objective is None else self.objective, self.method)
        asked = {"step": self.step, "sweeps": self.sweeps}
        given: dict[str, Any] = {name: v for name, v in asked.items() if v is not None}
        if given and self.method == "gradient":
            raise InputError(
                f"--{next(iter(given))} with the method gradient",
                "a method that tries a grid of settings",
                "leave it out, or use --method grid or coarse-to-fine",
            )
        return replace(options, **given)


@dataclass(frozen=True)
class EstimateJob:
    """One pair, where and how its search goes, and the files that it makes."""

    files: PairFiles
    settings: Settings
    search: Search
    out: Path
    plot: Path | None = None
    overwrite: bool = False


def estimate_files(job: EstimateJob) -> Estimate:
    """Estimate λ and μ of the pair and write what ``job`` asks for, all of it or nothing.

    Raises:
        InputError: a file or an option is at fault; nothing is written.
    """
    if job.out.suffix.lower() != ".json":
        raise InputError(f"--out {job.out}", "a file that ends in .json")
    if job.plot is not None and job.plot.suffix.lower() != ".png":
        raise InputError(f"--plot {job.plot}", "a file that ends in .png")
    job.search.options("similarity")  # misspelt options are told before reading
    with ExitStack() as stack:
        file = stack.enter_context(atomic_path(job.out, job.overwrite))
        picture = job.plot and stack.enter_context(atomic_path(job.plot, job.overwrite))
        progress = stack.enter_context(progress_bar("estimate"))
        progress("load", 0.0)
        request = read_request(job.files, job.settings.options(), job.settings)
        found = estimate_request(request, job.search, progress)
        found.write(file)
        if picture:
            plot_surfaces(found, picture)
    return found


def estimate_request(
    request: RegistrationRequest, search: Search = Search(), progress: Progress | None = None
) -> Estimate:
    """(λ, μ) for a request, whose own are where the search starts.

    Raises:
        InputError: the request cannot be registered, or lacks what the objective needs.
    """
    wanted = search.options(usual_objective(request, search.method))
    Evidence.of(request).check(wanted.weights)  # before the seconds that a session takes to prepare
    options = request.options
    wanted = replace(wanted, elasticity=options.elasticity, tissues=options.tissues)
    check_tissues(options.tissues, request.fixed_labels)
    with Session.from_request(request) as session:
        return session.estimate(wanted, on_progress=progress)


def with_estimate(request: RegistrationRequest, found: Estimate) -> RegistrationRequest:
    """The request with the (λ, μ) that were found, for the model whose answers were scored.

    One that has a single setting for everywhere is given the best of those.
    """
    values = dict(found.elasticity)
    default = values.pop(EVERYWHERE)
    if request.options.model == AUTO and not request.options.sliding:
        request = replace(request, options=replace(request.options, model=found.model))
    if request.options.model not in (NONE, AUTO):
        card = model_choice(replace(request, options=replace(request.options, tissues={}))).card
        if card is not None and card.model.conditioning == "global":
            values = {}
    return replace(request, options=replace(request.options, elasticity=default, tissues=values))


def show_estimate(found: Estimate, out: Path) -> None:
    """Print the choice, what it rests on and where it is."""
    console = Console()
    console.print(_table(found))
    for line in (f"rests on {found.evidence}", *(f"warning: {w}" for w in found.warnings)):
        console.print(Text(line), soft_wrap=True)
    console.print(
        Text(
            f"{found.fields} fields by {found.answered_by} in {found.seconds:.1f} s. "
            f"Use it with register --elasticity-file {out}. {RESEARCH_USE}"
        ),
        soft_wrap=True,
    )


def _table(found: Estimate) -> Table:
    table = Table("", "λ", "μ", "E rel.", "ν", "before", "after", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    moduli = relative_moduli(found.elasticity)
    for name, value in found.elasticity.items():
        young, poisson = moduli[name]
        scores = found.scores.get(name, {})
        numbers = (f"{value.lam:.3g}", f"{value.mu:.3g}", f"{young:.2f}", f"{poisson:.2f}")
        changes = (f"{scores[key]:.3f}" if key in scores else "" for key in ("before", "after"))
        table.add_row(Text(name), *numbers, *changes)
    return table
