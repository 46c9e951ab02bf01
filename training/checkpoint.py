"""Checkpoints: the last good one is always whole, and only its own run takes it up again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from ElasticHyperRegLib.errors import InputError

from .config import TrainingConfig

FILE = "checkpoint.ckpt"


def fingerprint(config: TrainingConfig) -> str:
    """What a checkpoint must share with the run that takes it up: the configuration's text."""
    return hashlib.sha256(config.text.encode()).hexdigest()


def save(fabric: Fabric, run: Path, state: dict[str, Any]) -> None:
    """Write ``state`` beside the last checkpoint, then put it in its place.

    Raises:
        InputError: the disk is full or may not be written; the last checkpoint is as it was.
    """
    partial = run / f".{FILE}.part"
    try:
        fabric.save(partial, state)
        if fabric.is_global_zero:
            partial.replace(run / FILE)
    except (OSError, RuntimeError) as error:
        if fabric.is_global_zero:
            partial.unlink(missing_ok=True)
        raise InputError(
            f"{run}, where no checkpoint could be written ({error})",
            "a folder with space",
            "free space and start the same command again: it goes on from the last checkpoint",
        ) from error
    fabric.barrier()


def load(
    fabric: Fabric, run: Path, state: dict[str, Any], config: TrainingConfig
) -> dict[str, Any]:
    """Read the checkpoint in ``run`` into the model and optimizer of ``state``; return the rest.

    Raises:
        InputError: it belongs to another configuration, or cannot be read.
    """
    path = run / FILE
    try:
        peek = torch.load(path, map_location="cpu", weights_only=True)
        if peek.get("fingerprint") != fingerprint(config):
            raise InputError(
                f"{path}, a checkpoint of another configuration",
                "a run folder of this configuration, or a new one",
                "name another folder with --out",
            )
        return fabric.load(path, state, weights_only=True)
    except InputError:
        raise
    except Exception as error:  # a damaged file fails in torch, zipfile or the unpickler
        raise InputError(
            f"{path}, a checkpoint that cannot be read ({str(error).splitlines()[0]})",
            "a whole checkpoint",
            "remove it to begin anew",
        ) from error
