"""From a finished run to a model that everyone can load, with its card."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.networks import build
from ElasticHyperRegLib.weights import ModelCard, save_model

from .config import TrainingConfig
from .data.pair import PairSource
from .journal import RECORD, read_scores
from .state import TrainingState


def export(
    config: TrainingConfig, source: PairSource, state: TrainingState, run: Path
) -> ModelCard:
    """Write the best weights and their card to ``run/model/NAME``, in half precision.

    The card's metrics are those of the validation split, which also chose the weights.

    Raises:
        InputError: no validation has been done, or the disk is full.
    """
    if not state.best:
        raise InputError(f"{run}, a run without a validation", "a finished run")
    model = build(config.model)
    model.load_state_dict(state.best)
    about = {
        "expects": {
            "modality": config.card.modality,
            "spacing_mm": source.spacing,
            "size": source.shape[::-1],
            "intensity_window": config.card.intensity_window,
        },
        "training": _training(config, state, run),
        "licence": config.card.licence,
        "metrics": {config.data.validation: _metrics(run, state.best_step)},
    }
    return save_model(model, about, run / "model" / config.name, torch.float16)


def _training(config: TrainingConfig, state: TrainingState, run: Path) -> dict[str, object]:
    record = json.loads((run / RECORD).read_text(encoding="utf-8"))
    log = "; ".join(
        f"step {row['step']} at {row['setting']}: objective {row['objective']}, "
        f"Dice {row['dice']}, folds {row['folds']}"
        for row in read_scores(run)
        if int(row["step"]) in (state.best_step, config.validation.every)
    )
    return {
        "data": config.data.description,
        "licence": config.data.licence,
        "command": record["command"],
        "log": log,
        "revision": record["revision"],
        "seed": config.seed,
    }


def _metrics(run: Path, step: int) -> dict[str, float]:
    """Measures at the kept step: ``dice at 0 0.05`` and so on."""
    return {
        f"{name} at {row['setting']}": float(row[name])
        for row in read_scores(run)
        if int(row["step"]) == step
        for name in ("dice", "folds", "objective", "tre_mm")
        if row[name] != "nan"
    }
