"""From the names of a table and of its contenders to its rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch

from ElasticHyperRegLib.engine import RegistrationRequest
from ElasticHyperRegLib.engine.check import pick_device
from ElasticHyperRegLib.engine.elasticity import check_tissues
from ElasticHyperRegLib.engine.request import Progress
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.estimation import Setting
from ElasticHyperRegLib.weights import ModelCard, list_models, load_model

from .acdc import acdc_cases
from .choices import LABEL_FREE, Choice, Tick, Wanted, given_choice, global_choice, subject_choice
from .contenders import REFINE, SOLVER, Contender, parse_contender, register_cases
from .score import Fields, Row, score

Cases = Callable[[Path, str], list[RegistrationRequest]]
EVERYONE = "all"
UNREGISTERED = "unregistered"


class Benchmark(NamedTuple):
    """A published table: its pairs, from the folder of the data set and the split, and what kind.

    Models of that modality and dimension are asked for with ``all``.
    """

    cases: Cases
    modality: str
    ndim: int

    def everyone(self) -> tuple[str, ...]:
        """The solver, and every installed model of the kind alone and refined."""
        names = [
            card.name
            for card in list_models()
            if (card.expects.modality, card.model.ndim) == (self.modality, self.ndim)
            and card.expects.intensity_window is None
        ]
        return (SOLVER, *(name + after for name in names for after in ("", REFINE)))


BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType({"acdc": Benchmark(acdc_cases, "MR", 2)})


@dataclass(frozen=True)
class BenchmarkOptions:
    """What a table is made of.

    Args:
        data: folder of the data set.
        split: of its patients.
        models: contenders: ``solver``, a model, or ``MODEL+refine``; ``all`` for everyone.
        setting: (λ, μ) of everybody; ``None`` chooses them in the papers' ways.
        subject_wise: whether (λ, μ) are also chosen for each subject.
        refine: iterations of the solver on the finest level, at most.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    data: Path
    split: str
    models: tuple[str, ...]
    setting: Setting | None = None
    subject_wise: bool = True
    refine: int | None = None
    device: str = "auto"


def run_benchmark(name: str, options: BenchmarkOptions, progress: Progress) -> list[Row]:
    """The rows of a table; the first is what there is before any registration.

    Raises:
        InputError: an unknown table, split or model, a patient missing or at fault.
    """
    if name not in BENCHMARKS:
        raise InputError(f"the benchmark '{name}'", " or ".join(BENCHMARKS))
    contenders = _contenders(BENCHMARKS[name], options)
    device = pick_device(options.device)
    progress("reading", 0.0)
    cases = BENCHMARKS[name].cases(options.data, options.split)
    if options.setting is not None:
        check_tissues(options.setting.tissues, cases[0].fixed_labels)
    rest = torch.zeros(len(cases), cases[0].fixed.grid.ndim, *cases[0].fixed.grid.shape)
    rows = [score(cases, Fields(rest, 0.0), UNREGISTERED, "none")]
    chosen: dict[Path | None, list[Choice]] = {}  # a model's serve its refinement too
    for number, contender in enumerate(contenders):
        tick = _part(progress, contender.name, number / len(contenders), 1 / len(contenders))
        tick(0.0)
        card = contender.card
        home = None if card is None else card.folder
        if home not in chosen:
            chosen[home] = list(_choices(card, cases, options, device, tick))
        for choice in chosen[home]:
            fields = register_cases(contender, cases, choice.settings, device, options.refine)
            told = choice.parameters + _refined_by(contender, options.setting is None)
            row = score(cases, fields, contender.name, told)
            rows.append(
                replace(
                    row,
                    by_scored_labels=choice.by_scored_labels,
                    labels_in_training=card is not None and card.training.supervision != "images",
                )
            )
    progress("done", 1.0)
    return rows


def _contenders(benchmark: Benchmark, options: BenchmarkOptions) -> list[Contender]:
    """Who is asked for.

    Raises:
        InputError: nobody, an unknown or damaged model, different λ and μ for one that takes one
            setting, or passes of the solver for nobody.
    """
    if not options.models:
        raise InputError("no models", "solver, all, or names as `models` lists them")
    asked = (benchmark.everyone() if model == EVERYONE else (model,) for model in options.models)
    found = [parse_contender(name) for name in dict.fromkeys(itertools.chain(*asked))]
    for card in {c.card.name: c.card for c in found if c.card is not None}.values():
        load_model(card.folder)  # a damaged one is told before hours of the others
        if options.setting is not None and card.model.conditioning == "global":
            _refuse_tissues(card, options.setting)
    if options.refine is not None and all(c.card is not None and not c.refined for c in found):
        raise InputError(
            f"--refine {options.refine} for networks alone",
            "the solver, or a network's name with +refine, among --models",
        )
    return found


def _refuse_tissues(card: ModelCard, setting: Setting) -> None:
    if {*setting.tissues.values()} - {setting.default}:
        raise InputError(
            f"different λ and μ for {', '.join(setting.tissues)} and the model {card.name}",
            "one setting for everywhere, as it takes it",
            "leave the tissues or the model out",
        )


def _refined_by(contender: Contender, chosen: bool) -> str:
    """What is to be known of the finish: whose λ and μ it has, and that it is elastic."""
    card = contender.card
    if card is None or not contender.refined:
        return ""
    own = "; chosen for the network alone" if chosen else ""
    return (
        own if len(card.model.hyper) > 1 else f"{own}; the solver's energy is elastic, λ 0, μ as α"
    )


def _choices(
    card: ModelCard | None,
    cases: Sequence[RegistrationRequest],
    options: BenchmarkOptions,
    device: torch.device,
    tick: Tick,
) -> Iterator[Choice]:
    if options.setting is not None:
        yield given_choice(card, options.setting, len(cases))
        return
    for_all = global_choice(card, options.split, len(cases))
    yield for_all
    if card is None or not options.subject_wise:
        return
    for half, objective in ((0.0, LABEL_FREE), (0.5, "dice")):
        within = _part(lambda step, fraction: tick(fraction), "", half, 0.5)
        yield subject_choice(card, cases, device, Wanted(objective, for_all), within)


def _part(progress: Progress, step: str, first: float, share: float) -> Tick:
    """Progress of a part that begins at ``first`` and is ``share`` of the whole."""
    return lambda fraction: progress(step, first + share * fraction)
