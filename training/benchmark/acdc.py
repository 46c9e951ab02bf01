"""The pairs of the ACDC table: middle slices of a split's patients, ED to ES."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ElasticHyperRegLib.engine import RegistrationRequest
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.types import Grid, Image, LabelMap

from ..data.acdc import NUMBERS, AcdcSource

WHOLE = ("val", "test")
"""Splits of the table, of which nobody may be missing; the training folder is taken as it is."""


def acdc_cases(root: Path, split: str) -> list[RegistrationRequest]:
    """One request a patient, ascending: 2D slices with labels, named by the patient.

    Args:
        root: the folder that holds ``training`` and ``testing``, as published.
        split: ``train`` (all of ``training``), ``val`` (101–120) or ``test`` (121–150).

    Raises:
        InputError: as ``AcdcSource``; a patient of ``val`` or ``test`` is missing.
    """
    source = AcdcSource(root, split)
    if split in WHOLE:
        missing = [n for n in NUMBERS[split] if f"patient{n:03d}" not in source.patients]
        if missing:
            raise InputError(
                f"{root / 'testing'} without {_listed(missing)}",
                f"all patients of the split '{split}', {NUMBERS[split][0]} to {NUMBERS[split][-1]}",
                "add their folders: a table of some patients cannot be compared",
            )
    grid = Grid.from_spacing(source.shape, source.spacing)
    nothing_random = np.random.default_rng(0)
    samples = [source.sample(index, nothing_random) for index in range(len(source))]
    return [
        RegistrationRequest(
            fixed=Image(s.fixed[None], grid, f"{s.patient} ED"),
            moving=Image(s.moving[None], grid, f"{s.patient} ES"),
            fixed_labels=_labels(s.fixed_labels, grid, source.label_names),
            moving_labels=_labels(s.moving_labels, grid, source.label_names),
        )
        for s in samples
    ]


def _labels(data: torch.Tensor | None, grid: Grid, names: dict[int, str]) -> LabelMap | None:
    return None if data is None else LabelMap(data[None].int(), grid, names)


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(f"patient{n:03d}" for n in numbers[:5])
    return f"{shown} and {len(numbers) - 5} more" if len(numbers) > 5 else shown
