"""A function of one tensor as a graph that a CUDA device replays as a whole.

A small network is some hundreds of kernels, each over sooner than the next is launched. A graph
launches them all at once; it is recorded once, with the addresses of all that it reads and writes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock

import torch

from ..grid import constants_used

REPLAYING = ("cuda",)
"""Types of device that have graphs."""
WARM_UP = 3
"""Runs before the recording, in which libraries choose their kernels and constants are made."""
TOLERANCE = 1e-3
"""Of the largest value, or of 1: more is no difference of rounding."""
LOG = logging.getLogger(__name__)
RECORDING = Lock()
"""Held while a graph is recorded."""

Function = Callable[[torch.Tensor], torch.Tensor]


def captured(function: Function, example: torch.Tensor, other: torch.Tensor) -> Function:
    """``function`` as a graph where its device has them and can hold it, else itself.

    Tried once against the function itself; what is not taken, and why, is logged.

    Args:
        function: see ``Captured``.
        example: what it may be given; its device is where all is computed.
        other: likewise; on it the graph is tried, which has never seen it.
    """
    if example.device.type not in REPLAYING:
        return function
    expected = function(other)
    try:
        graph = Captured(function, example)
        off = float((graph(other) - expected).abs().max())
    except RuntimeError as error:  # no memory for a graph among them: the function has just had it
        LOG.warning("kernels are launched one by one: %s", str(error).partition("\n")[0])
        return function
    if not off <= TOLERANCE * max(1.0, float(expected.abs().max())):
        LOG.warning("kernels are launched one by one: their graph is off by %.2g", off)
        return function
    return graph


class Captured:
    """``function``, replayed.

    Args:
        function: of tensors like ``example``, without gradient; whatever else it reads stays
            where it is as long as this lives, and on the device it waits for nothing.
        example: on a device that has graphs.

    Raises:
        RuntimeError: the function does what a graph cannot hold.
    """

    def __init__(self, function: Function, example: torch.Tensor) -> None:
        self._given, self._lock = example.clone(), Lock()
        self._graph = torch.cuda.CUDAGraph()
        here, aside = torch.cuda.current_stream(example.device), torch.cuda.Stream(example.device)
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                function(self._given)
        here.wait_stream(aside)
        # Other threads may go on with the device meanwhile, but not record: a process has one.
        recording = torch.cuda.graph(self._graph, stream=aside, capture_error_mode="thread_local")
        try:
            with RECORDING, constants_used() as self._read, recording:
                self._found = function(self._given)
        finally:
            torch.cuda.set_stream(here)  # a recording that fails does not go back by itself

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        """``function(given)``, for one caller at a time: what goes in and out is the graph's."""
        with self._lock:
            self._given.copy_(given)
            self._graph.replay()
            return self._found.clone()
