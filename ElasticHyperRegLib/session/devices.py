"""Which device a session runs on, what fits there, and what comes next where it does not."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from dataclasses import dataclass

import torch

from ..engine.captured import RECORDING
from ..engine.check import pick_device
from ..engine.memory import available_bytes
from ..errors import InputError

SOLVER_BYTES = 600
NETWORK_BYTES = 1000
"""Per voxel, roughly; on a processor 440 to 900 and 710 to 850 were measured (32³ to 64³)."""
COARSENINGS = (1.0, 2.0)


@dataclass(frozen=True)
class Rung:
    """One way to run a session: on ``device``, voxels ``coarsening`` times as large."""

    device: torch.device
    coarsening: float

    def __str__(self) -> str:
        grid = "" if self.coarsening == 1 else f", voxels {self.coarsening:g} times as large"
        return f"{self.device.type}{grid}"


def pick(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``mps`` → a device that is there.

    ``auto`` takes CUDA where there is one, else the processor: Apple's mps is taken by its name
    alone, as not all that is needed is known to run there.

    Raises:
        InputError: an unknown name; it is not there.
    """
    if name != "mps":
        return pick_device(name)
    if not torch.backends.mps.is_available():
        raise InputError(
            "the device 'mps' where PyTorch sees none",
            action="use the device cpu or auto, or a PyTorch for Apple silicon",
        )
    return torch.device("mps")


def ladder(device: torch.device) -> list[Rung]:
    """``device``, then with larger voxels, then likewise on the processor."""
    devices = [device] if device.type == "cpu" else [device, torch.device("cpu")]
    return [Rung(where, coarsening) for where in devices for coarsening in COARSENINGS]


def free_bytes(device: torch.device) -> int | None:
    """Memory that is free on ``device``; ``None`` where the system does not tell."""
    if device.type == "cuda":
        # Of what PyTorch keeps graphs may hold some, which is no one else's: not counted as free.
        with RECORDING, suppress(RuntimeError):  # not while one is recorded, or one has failed
            torch.cuda.empty_cache()
        try:
            return int(torch.cuda.mem_get_info(device)[0])
        except RuntimeError:  # not even room to ask
            return 0
    available = available_bytes()
    return _all_memory() if available is None else available


def empty_caches() -> None:
    """Give back what PyTorch keeps of freed memory."""
    gc.collect()
    if torch.cuda.is_available():
        with RECORDING, suppress(RuntimeError):  # as above
            torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _all_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
