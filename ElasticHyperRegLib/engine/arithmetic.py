"""Half precision, where a network is quicker in it: tried once on the machine it runs on.

Whether float16 helps on a GPU, or bfloat16 on a processor that has it, hangs on the chip, the
model and the size of the images; so does what is lost in digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from time import perf_counter

import torch

from .captured import Function, captured

WORTH = 0.8
"""Part of the time that another type may take at most: less is gained than lost in digits."""
TOLERANCE_VOX = 0.1
RUNS = 2
BFLOAT16_CHIPS = ("avx512_bf16", "amx_bf16", "bf16")


def quickest_type(function: Function, examples: Sequence[torch.Tensor]) -> torch.dtype:
    """The type to compute ``function`` in: float32 unless another is quicker and as good.

    Args:
        function: conditioning → displacement in voxels, without gradient; to be run under
            ``computing_in``.
        examples: of what it will be given, some that move far among them; their device is where
            all is computed.
    """
    device = examples[0].device
    other = half_type(device)
    if other is None:
        return torch.float32
    expected = [function(example) for example in examples]
    found = [_within(other, function)(example) for example in examples]
    off = max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True))
    if not off <= TOLERANCE_VOX:  # nor where it is no number
        return torch.float32
    times = [_seconds(function, examples, dtype) for dtype in (other, torch.float32)]
    return other if times[0] < WORTH * times[1] else torch.float32


def computing_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Context in which convolutions and products are computed in ``dtype``."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def half_type(device: torch.device) -> torch.dtype | None:
    """What might be quicker on a device than float32."""
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if device.type == "cpu" and has_bfloat16() else None


def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16 itself, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "").split()
    return any(chip in flags for chip in BFLOAT16_CHIPS)


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was given: before a clock is read."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()


def _within(dtype: torch.dtype, function: Function) -> Function:
    """``function`` under ``computing_in``."""

    def computed(example: torch.Tensor) -> torch.Tensor:
        with computing_in(dtype, example.device):
            return function(example)

    return computed


def _seconds(function: Function, examples: Sequence[torch.Tensor], dtype: torch.dtype) -> float:
    """The least of some runs, as they will be run: where there are graphs, of one."""
    times, example = [], examples[0]
    quick = captured(_within(dtype, function), example, examples[-1])
    for _ in range(RUNS):
        wait_for(example.device)
        begun = perf_counter()
        quick(example)
        wait_for(example.device)
        times.append(perf_counter() - begun)
    return min(times)
