"""Checkpoints: the last good one is always whole, and only its own run takes it up again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from ElasticHyperRegLib.errors import InputError

from .config import TrainingConfig
from .place import replacing

FILE = "checkpoint.ckpt"
Origin = Mapping[str, str]
"""What a checkpoint must share with the run that takes it up, in words → as text."""


def origin(config: TrainingConfig, patients: Iterable[str], processes: int) -> Origin:
    """Of a run: with other patients or processes it would not go on bit for bit."""
    texts = {"configuration": config.text, "list of patients": "\n".join(patients)}
    found = {what: hashlib.sha256(text.encode()).hexdigest() for what, text in texts.items()}
    return {**found, "number of processes": str(processes)}


def save(run: Path, state: dict[str, Any]) -> None:
    """Write ``state`` beside the last checkpoint, then put it in its place.

    Raises:
        OSError: the disk is full or may not be written; the last checkpoint is as it was.
    """
    try:
        with replacing(run / FILE) as partial:
            torch.save(state, partial)
    except RuntimeError as error:  # PyTorch's writer tells a full disk so
        raise OSError(str(error).splitlines()[0]) from error


def load(run: Path, mine: Origin) -> dict[str, Any]:
    """What the checkpoint in ``run`` holds.

    Raises:
        InputError: it is not of a run like ``mine``, or cannot be read.
    """
    path = run / FILE
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
        theirs = dict(held.get("origin", {}))
    except Exception as error:  # a damaged file fails in torch, zipfile or the unpickler
        raise InputError(
            f"{path}, a checkpoint that cannot be read ({str(error).partition('. ')[0]})",
            "a whole checkpoint",
            "remove it to begin anew",
        ) from error
    for what, text in mine.items():
        if theirs.get(what) != text:
            raise InputError(
                f"{path}, a checkpoint of another {what}",
                f"the same {what}, or a new run folder",
                "name another folder with --out",
            )
    return held
