"""What a training run is, read from one TOML file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.networks import ModelSpec, read_record, spec_from_table
from ElasticHyperRegLib.weights import check_window

from .augmentation import AugmentationConfig
from .tables import read_table

LARGEST_SEED = 2**32 - 1
Draws = Literal["simplex", "independent"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class DataConfig:
    """Where the pairs come from.

    Args:
        source: name of a data set of ``training.data``.
        train: split that is trained on.
        validation: split that is looked at while training and chooses the weights kept.
        description: what the data are, for the model's card.
        licence: of the data, for the model's card.
        options: of the source, see there; a table of any keys.
        validation_options: of the source of the validation split.
    """

    source: str
    train: str
    validation: str
    description: str
    licence: str
    options: dict[str, Any] = field(default_factory=dict)
    validation_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.train == self.validation:
            raise InputError(
                f"the split '{self.train}' both to train on and to validate on",
                "two splits that share no patient",
                "such as train and val",
            )


@dataclass(frozen=True)
class OptimisationConfig:
    """How the loss is minimised.

    Args:
        steps: updates of the weights.
        batch: pairs a step and device.
        accumulate: batches whose gradients are added up for one step.
        learning_rate: highest of a one-cycle schedule of Adam.
        clip: largest norm of the gradient.
        precision: of the convolutions, as Lightning Fabric names it; integration, similarity and
            energy are always float32.
        window: side of the NCC box in voxels.
        windows: likewise of each level of a pyramid, coarse to fine, which is then trained coarse
            to fine: the first level alone, then the first two, and so on, each for an equal share
            of the steps (CSAIN, eq. 3); validation measures by ``window``. () trains all levels
            at once, by ``window``.
        draws: λ and μ uniform on the ``simplex`` λ + μ ≤ 1 (SPIE), or ``independent`` for each
            tissue (MICCAI, eq. 1), see ``conditioning.draw_for``.
        labels: weight of a soft Dice term; above 0 the labels take part in training.
        truth: weight of the mean squared distance, mm², to the known displacement of synthetic
            pairs; it falls to 0 at half of the steps, so that λ and μ have the last word.
        start_from: folder of a model whose weights the training starts from, where they fit.
        tuned: regular expressions of the weights that train, the others stay those of
            ``start_from``; () trains all.
    """

    steps: int
    batch: int = 8
    accumulate: int = 1
    learning_rate: float = 1e-3
    clip: float = 1.0
    precision: Precision = "32-true"
    window: int = 9
    windows: tuple[int, ...] = ()
    draws: Draws = "simplex"
    labels: float = 0.0
    truth: float = 0.0
    start_from: str = ""
    tuned: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.accumulate) < 1:
            raise InputError(
                f"{self.steps} steps of {self.accumulate} batches of {self.batch} pairs",
                "positive numbers",
            )
        if min(self.learning_rate, self.clip) <= 0 or min(self.labels, self.truth) < 0:
            raise InputError(
                f"the learning rate {self.learning_rate:g}, clip {self.clip:g}, weights of labels "
                f"{self.labels:g} and truth {self.truth:g}",
                "the first two above 0, the others not below",
            )
        for window in (self.window, *self.windows):
            if window < 3 or window % 2 == 0:
                raise InputError(f"an NCC window of {window}", "an odd number, 3 or more")
        if self.tuned and not self.start_from:
            raise InputError("tuned weights without start_from", "the model whose others are kept")
        for pattern in self.tuned:
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(f"tuned {pattern!r} ({error})", "a regular expression") from error


@dataclass(frozen=True)
class ValidationConfig:
    """What is measured while training.

    Args:
        every: steps between two validations, and between two checkpoints.
        settings: (λ, μ), or (α,), at which the validation pairs are registered.
        keep: which weights the model gets: those of the ``best`` validation by Dice and folds, or
            the ``last``, whose objective is the lowest as the learning rate ends at 0.
    """

    every: int
    settings: tuple[tuple[float, ...], ...]
    keep: Literal["best", "last"] = "best"

    def __post_init__(self) -> None:
        if self.every < 1 or not self.settings:
            raise InputError("a validation without settings or interval", "one or more of each")


@dataclass(frozen=True)
class CardConfig:
    """What the model's card says beyond what training knows itself.

    Args:
        modality: such as MR.
        licence: of the weights.
        intensity_window: lowest and highest intensity, mapped to 0 and 1, in training as in use;
            absent: each image's own.
    """

    modality: str
    licence: str
    intensity_window: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_window(self.intensity_window)


@dataclass(frozen=True)
class TrainingConfig:
    """One run. ``text`` is the file as it was read, for the record."""

    name: str
    model: ModelSpec
    data: DataConfig
    optimisation: OptimisationConfig
    validation: ValidationConfig
    card: CardConfig
    augmentation: AugmentationConfig = AugmentationConfig()
    seed: int = 0
    text: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(f"the seed {self.seed}", f"a whole number from 0 to {LARGEST_SEED}")
        windows, levels = self.optimisation.windows, getattr(self.model.options, "levels", 1)
        if windows and len(windows) != levels:
            raise InputError(
                f"{len(windows)} NCC windows for {self.model.name}",
                f"one for each of {levels} levels" if levels > 1 else "none: it has no levels",
            )
        hyper = len(self.model.hyper)
        for setting in self.validation.settings:
            if len(setting) != hyper or min(setting) < 0 or sum(setting) > 1:
                raise InputError(
                    f"the validation setting {setting}",
                    f"{hyper} numbers of 0 or more with a sum of at most 1 for {self.model.name}",
                )


def read_config(path: Path) -> TrainingConfig:
    """The run that the TOML file at ``path`` describes.

    Raises:
        InputError: the file cannot be read, is no TOML, lacks a key or has a wrong one; the
            message names the file.
    """
    return config_from_table(*read_table(path), str(path))


SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "optimisation": OptimisationConfig,
    "validation": ValidationConfig,
    "card": CardConfig,
    "augmentation": AugmentationConfig,
}
OPTIONAL = {"seed", "augmentation"}


def config_from_table(table: dict[str, Any], text: str, where: str) -> TrainingConfig:
    """The run that a TOML table describes; ``where`` is named in errors.

    Raises:
        InputError: a section or key is missing, unknown or wrong.
    """
    known = {"name", "seed", "model", *SECTIONS}
    needed = known - OPTIONAL
    faults = [f"lacks {key}" for key in sorted(needed - table.keys())]
    faults += [f"has an unknown {key}" for key in sorted(table.keys() - known)]
    if faults:
        raise InputError(f"{where} {', '.join(faults)}", f"the keys {', '.join(sorted(known))}")
    sections: dict[str, Any] = {
        key: read_record(kind, table[key], f"{where}, {key}")
        for key, kind in SECTIONS.items()
        if key in table
    }
    model = spec_from_table(table["model"], f"{where}, model")
    rest = read_record(_Rest, {k: table[k] for k in ("name", "seed") if k in table}, where)
    try:
        return TrainingConfig(rest.name, model, seed=rest.seed, text=text, **sections)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


@dataclass(frozen=True)
class _Rest:
    name: str
    seed: int = 0
