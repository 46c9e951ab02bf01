"""The phantom pairs, made while the rest of the page still loads."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from .options import Demo
from .pair import Pair

THORAX_SIZE = 64


def start_demo(wanted: Demo) -> Future[Pair]:
    """Begin to make a phantom."""
    make = _thorax if wanted.kind == "thorax" else _heart
    return ThreadPoolExecutor(1, "phantom").submit(
        lambda: replace(make(wanted.size), model=wanted.model)
    )


def _thorax(size: int | None) -> Pair:
    from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom  # takes seconds

    made = make_phantom(PhantomOptions(size=size or THORAX_SIZE))
    return _pair(made, "phantom", "Breathing thorax phantom")


def _heart(size: int | None) -> Pair:
    from ElasticHyperRegLib.phantom.heart import USUAL_SIZE, make_heart

    return _pair(make_heart(size or USUAL_SIZE), "cardiac-mr", "Beating heart phantom")


def _pair(made: Any, scheme: str, title: str) -> Pair:
    """The scans and labels of a phantom; its two sides are aligned."""
    return Pair(
        made.fixed,
        made.moving,
        made.fixed_labels,
        made.moving_labels,
        initial="none",
        scheme=scheme,
        title=f"{title}, {'×'.join(map(str, made.fixed.grid.size))}",
    )
