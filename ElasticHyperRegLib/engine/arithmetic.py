"""Ways to run a network that may be quicker than float32 here: tried once, kept where they are.

Half precision on a GPU, as one captured graph or not; bfloat16 on a processor that has it. Whether
they help hangs on the machine, the model and the size of the images, so the machine is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import torch

FLOAT32 = "float32"
WORTH = 0.8
"""Part of the time that another way may take at most: less is gained than lost in digits."""
TOLERANCE_VOX = 0.1
RUNS, WARM_UPS = 3, 3
BFLOAT16_CHIPS = ("avx512_bf16", "amx_bf16", "bf16")
LOG = logging.getLogger(__name__)

Function = Callable[[torch.Tensor], torch.Tensor]
"""Conditioning → velocity in voxels, without gradient."""
Maker = Callable[[Function, torch.Tensor], Function]


class Way(NamedTuple):
    """How a network is run, and what it is called."""

    name: str
    function: Function


def quickest(function: Function, example: torch.Tensor) -> Way:
    """``function``, or the same in other arithmetic where that is quicker and as good.

    Args:
        function: in float32.
        example: of what it will be given; its device is where all is computed.
    """
    best, others = Way(FLOAT32, function), list(_others(example.device))
    if not others:
        return best
    expected, least = _timed(function, example)
    for name, make in others:
        try:
            other = make(function, example)
            found, seconds = _timed(other, example)
        except RuntimeError as error:
            LOG.info("no %s: %s", name, str(error).partition("\n")[0])
            continue
        off = float((found - expected).abs().max())
        LOG.info("%s takes %.2f of %s, %.3f voxels off", name, seconds / least, best.name, off)
        if off <= TOLERANCE_VOX and seconds < WORTH * least:
            best, least = Way(name, other), seconds
    return best


class Captured:
    """A function of one tensor as a CUDA graph: its hundreds of launches become one.

    Args:
        function: on a CUDA device, with no wait for it inside.
        example: of what it will be given, which always has this shape.

    Raises:
        RuntimeError: it cannot be captured.

    Reference: https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def __init__(self, function: Function, example: torch.Tensor) -> None:
        self._given = example.clone()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                function(self._given)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._found = function(self._given)

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        """As the function; the answer is the caller's."""
        self._given.copy_(given)
        self._graph.replay()
        return self._found.clone()


def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16 itself, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "").split()
    return any(chip in flags for chip in BFLOAT16_CHIPS)


def _others(device: torch.device) -> Iterator[tuple[str, Maker]]:
    """What might be quicker on a device."""
    if device.type == "cuda":
        yield "float16", _rounded(torch.float16)
        yield "float16 in a captured graph", _captured
    elif device.type == "cpu" and has_bfloat16():
        yield "bfloat16", _rounded(torch.bfloat16)


def _rounded(dtype: torch.dtype, keep: bool = True) -> Maker:
    """Convolutions in ``dtype``; ``keep`` what autocast has converted within one call."""

    def make(function: Function, example: torch.Tensor) -> Function:
        def run(given: torch.Tensor) -> torch.Tensor:
            with torch.autocast(example.device.type, dtype=dtype, cache_enabled=keep):
                return function(given)

        return run

    return make


def _captured(function: Function, example: torch.Tensor) -> Function:
    return Captured(_rounded(torch.float16, keep=False)(function, example), example)


def _timed(function: Function, example: torch.Tensor) -> tuple[torch.Tensor, float]:
    """What it gives, and the least seconds of some runs after a first one."""
    found = function(example)
    return found, min(_seconds(function, example) for _ in range(RUNS))


def _seconds(function: Function, example: torch.Tensor) -> float:
    _wait(example.device)
    begun = perf_counter()
    function(example)
    _wait(example.device)
    return perf_counter() - begun


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
