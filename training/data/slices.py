"""Slices of volumes as pairs in 2D, for models of slices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from ElasticHyperRegLib.engine.network_field import own_range
from ElasticHyperRegLib.errors import InputError

from .pair import PairSample, PairSource

PLANES = {"axial": 0, "coronal": 1, "sagittal": 2}
"""Tensor axis of (k, j, i), which lie along S, A and R, that a slice stands across."""


@dataclass(frozen=True)
class SlicesOptions:
    """What is sliced, and how.

    Args:
        source: name of a source of volumes, see ``sources``.
        plane: of the slices.
        slices: the ``middle`` one of what the fixed labels and mask show, or of the volume without
            them; or in training a ``random`` one that shows some of them, drawn anew each time.
        options: of the source.
    """

    source: str
    plane: Literal["axial", "coronal", "sagittal"]
    slices: Literal["middle", "random"] = "middle"
    options: dict[str, Any] = field(default_factory=dict)


class SlicesSource:
    """One slice of each pair of volumes, the same in both images.

    What moves through the slice is lost: truth and landmarks, which know of it, are left out.

    Args:
        volumes: the pairs.
        plane: key of ``PLANES``.
        drawn: whether a slice is drawn at random; else it is the middle one.
        own_range: whether each slice's lowest and highest intensity become 0 and 1, as in use where
            a model has no window.

    Attributes:
        plane: as given.

    Raises:
        InputError: the pairs are slices already.
    """

    def __init__(self, volumes: PairSource, plane: str, drawn: bool, own_range: bool) -> None:
        if len(volumes.shape) != 3:
            raise InputError("slices of pairs that are slices already", "a source of volumes")
        self._volumes, self._axis, self._drawn = volumes, PLANES[plane], drawn
        self._own_range, self.plane = own_range, plane
        kept = [axis for axis in range(3) if axis != self._axis]
        self.shape = tuple(volumes.shape[axis] for axis in kept)
        self.spacing = tuple(volumes.spacing[::-1][axis] for axis in kept)[::-1]
        self.label_names, self.patients = volumes.label_names, volumes.patients

    def __len__(self) -> int:
        return len(self._volumes)

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        """A slice of pair ``index``."""
        whole = self._volumes.sample(index, rng)
        place = self._place(whole, rng)

        def cut(data: torch.Tensor | None) -> torch.Tensor | None:
            return None if data is None else data.select(self._axis + 1, place)

        images = whole.fixed, whole.moving
        seen = [image.select(self._axis + 1, place) for image in images]
        fixed, moving = map(own_range, seen) if self._own_range else seen
        return PairSample(
            fixed,
            moving,
            cut(whole.fixed_labels),
            cut(whole.moving_labels),
            None,
            whole.patient,
            cut(whole.fixed_mask),
            cut(whole.moving_mask),
        )

    def _place(self, whole: PairSample, rng: np.random.Generator) -> int:
        """Where along the axis."""
        places = torch.arange(whole.fixed.shape[self._axis + 1])
        for where in (whole.fixed_mask, whole.fixed_labels):
            if where is not None:
                shown = (where[0] > 0).movedim(self._axis, 0).flatten(1).any(1)[places]
                places = places[shown] if bool(shown.any()) else places
        if self._drawn:
            return int(places[int(rng.integers(len(places)))])
        return int(places[0] + places[-1]) // 2
