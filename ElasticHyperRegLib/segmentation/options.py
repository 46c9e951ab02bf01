"""What a segmentation is asked for, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InputError
from ..types import LabelMap

THRESHOLD, TOTALSEGMENTATOR = "threshold", "totalsegmentator"
BACKENDS = (THRESHOLD, TOTALSEGMENTATOR)
OWN_CLASSES = "none"
"""Instead of a tissue scheme: the segmenter's own classes."""

StopAsked = Callable[[], bool]
"""Asked often; true stops what runs."""


@dataclass(frozen=True)
class SegmentOptions:
    """How to make a tissue map.

    Attributes:
        backend: ``threshold`` (built in, CT) or ``totalsegmentator`` (a program of its own).
        tissues: tissue scheme, a name or a ``.toml`` file; ``none`` for the segmenter's own
            classes. By default ``ct-threshold`` for the built-in segmenter; TotalSegmentator
            needs one, because it decides which classes are computed.
        fast: TotalSegmentator at 3 mm instead of 1.5 mm.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; of TotalSegmentator.
        program: TotalSegmentator's executable; found by ``find_program`` where not given.
        cache: keep TotalSegmentator's answer and use it again for the same image.
    """

    backend: str = THRESHOLD
    tissues: str | None = None
    fast: bool = False
    device: str = "auto"
    program: str | None = None
    cache: bool = True

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise InputError(f"the backend '{self.backend}'", f"one of {', '.join(BACKENDS)}")
        if self.backend == THRESHOLD:
            self._refuse_options_of_a_program()

    def _refuse_options_of_a_program(self) -> None:
        given = {
            "the fast mode": self.fast,
            f"the device {self.device}": self.device != "auto",
            f"the program {self.program}": self.program is not None,
            "a cache switched off": not self.cache,
        }
        for what, there in given.items():
            if there:
                raise InputError(
                    f"{what} for the built-in segmenter",
                    "the backend totalsegmentator",
                    "leave it out: the built-in segmenter has no such option",
                )


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A tissue map and what there is to say about it.

    Attributes:
        labels: on the grid of the image, with names.
        notes: one line each: what the segmenter cannot see, what was filled, resolved or looks
            wrong.
        cached: whether TotalSegmentator's answer was there already.
    """

    labels: LabelMap
    notes: tuple[str, ...] = ()
    cached: bool = False
