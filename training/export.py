"""From a finished run to a model that everyone can load, with its card."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.networks import build
from ElasticHyperRegLib.weights import ModelCard, save_model

from .config import TrainingConfig
from .data.pair import PairSource
from .journal import read_scores
from .state import TrainingState


def export(
    config: TrainingConfig, source: PairSource, state: TrainingState, run: Path
) -> ModelCard:
    """Write the weights kept and their card to ``run/model/NAME``, in half precision.

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
            "plane": getattr(source, "plane", None),
        },
        "training": _training(config, state, run),
        "licence": config.card.licence,
        "metrics": {config.data.validation: _metrics(run, state.best_step)},
    }
    return save_model(model, about, run / "model" / config.name, torch.float16)


def _training(config: TrainingConfig, state: TrainingState, run: Path) -> dict[str, object]:
    log = "; ".join(
        f"step {row['step']} at {row['setting']}: objective {row['objective']}, "
        f"Dice {row['dice']}, folds {row['folds']}"
        for row in read_scores(run)
        if int(row["step"]) in (state.best_step, config.validation.every)
    )
    return {
        "data": config.data.description,
        "licence": config.data.licence,
        "command": state.starts[0]["command"],
        "log": log,
        "revision": _listed(start["revision"] for start in state.starts),
        "seed": config.seed,
        **_teachers(config, state),
        "versions": {
            name: _listed(s["versions"][name] for s in state.starts if name in s["versions"])
            for name in state.starts[-1]["versions"]
        },
    }


def _teachers(config: TrainingConfig, state: TrainingState) -> dict[str, object]:
    """What the weights were taught by, the model that they set out from included."""
    ancestor = dict(state.ancestor)
    inherited = ancestor.pop("supervision", "images")
    return {
        "supervision": "images and labels" if config.optimisation.labels else inherited,
        "start_from": ancestor or None,
    }


def _listed(values: Iterable[str]) -> str:
    """Each once, in order."""
    return ", ".join(dict.fromkeys(values))


def _metrics(run: Path, step: int) -> dict[str, float]:
    """Measures at the kept step: ``dice at 0 0.05`` and so on."""
    return {
        f"{name} at {row['setting']}": float(row[name])
        for row in read_scores(run)
        if int(row["step"]) == step
        for name in ("dice", "folds", "objective", "tre_mm")
        if row[name] != "nan"
    }
