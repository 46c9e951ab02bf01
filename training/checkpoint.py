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


def save(run: Path, state: dict[str, Any]) -> None:
    """Write ``state`` beside the last checkpoint, then put it in its place.

    Raises:
        OSError: the disk is full or may not be written; the last checkpoint is as it was.
    """
    partial = run / f".{FILE}.part"
    try:
        torch.save(state, partial)
        partial.replace(run / FILE)
    except RuntimeError as error:  # PyTorch's writer tells a full disk so
        raise OSError(str(error).splitlines()[0]) from error
    finally:
        partial.unlink(missing_ok=True)


def load(fabric: Fabric, run: Path, config: TrainingConfig) -> dict[str, Any]:
    """What the checkpoint in ``run`` holds.

    Raises:
        InputError: it belongs to another configuration, or cannot be read.
    """
    path = run / FILE
    try:
        held = fabric.load(path, weights_only=True)
        owner = held.get("fingerprint")
    except Exception as error:  # a damaged file fails in torch, zipfile or the unpickler
        raise InputError(
            f"{path}, a checkpoint that cannot be read ({str(error).partition('. ')[0]})",
            "a whole checkpoint",
            "remove it to begin anew",
        ) from error
    if owner != fingerprint(config):
        raise InputError(
            f"{path}, a checkpoint of another configuration",
            "a run folder of this configuration, or a new one",
            "name another folder with --out",
        )
    return held
