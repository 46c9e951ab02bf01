"""What shows whether a Python thread holds threads of OpenMP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest
import torch

from ElasticHyperRegLib.engine.threads import _gnu_openmp, give_back_threads

needs_gnu = pytest.mark.skipif(_gnu_openmp() is None, reason="PyTorch's OpenMP is not GNU's")


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def come_to(count: int) -> bool:
    """Whether there are so many threads after a while: one that ends is still listed a moment."""
    limit = monotonic() + 10
    while threads() != count and monotonic() < limit:
        sleep(0.01)
    return threads() == count


def compute() -> float:
    """A loop that is long enough to be shared."""
    return float(torch.ones(2_000_000).sin().sum())


@contextmanager
def alone() -> Iterator[int]:
    """Teams are of two; how many threads there are while the calling one has no team."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    give_back_threads()
    try:
        yield threads()
    finally:
        torch.set_num_threads(before)
