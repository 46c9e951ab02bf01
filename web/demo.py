"""The phantom pair, made while the rest of the page still loads."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

SIZE = 64


def start_demo(size: int) -> Future[Any]:
    """Begin to make a phantom of ``size`` voxels a side; the future holds the ``Phantom``."""
    return ThreadPoolExecutor(1, "phantom").submit(_make, size)


def _make(size: int) -> Any:
    from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom  # takes seconds

    return make_phantom(PhantomOptions(size=size))
