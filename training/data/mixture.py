"""Several sources as one: what each batch is trained on is left to chance."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np

from ElasticHyperRegLib.errors import InputError

from .pair import PairSample, PairSource, lattice_text, same_spacing


class MixtureSource:
    """Sources of one shape and spacing.

    Args:
        parts: the sources.
        weights: positive, one a source; only their ratios count.
        split: in ``train`` each part is drawn from as often as its weight says; in ``val`` and
            ``test`` every pair of every part is there once, whatever the weights.

    Attributes:
        parts: none of them a mixture itself.
        plane: of slices, where all parts have the same.

    Raises:
        InputError: none or unequal numbers of them, shapes or spacings that differ, or labels in
            some of them only.
    """

    def __init__(self, parts: list[PairSource], weights: list[float], split: str = "train") -> None:
        if not parts or len(parts) != len(weights) or not min(weights) > 0:
            raise InputError(
                f"{len(parts)} parts with weights {weights}", "a positive one for each"
            )
        first = parts[0]
        for part in parts[1:]:
            if part.shape != first.shape or not same_spacing(part, first):
                raise InputError(
                    f"parts of {lattice_text(first)} and {lattice_text(part)}",
                    "one size and spacing",
                )
            if bool(part.label_names) != bool(first.label_names):
                raise InputError("labels in some parts of a mixture", "labels in all or none")
        self.parts = tuple(p for part in parts for p in getattr(part, "parts", (part,)))
        self._parts = parts
        planes = {getattr(part, "plane", None) for part in self.parts}
        self.plane = planes.pop() if len(planes) == 1 else None
        self._drawn = split == "train"
        share = np.asarray(weights) / np.sum(weights)
        self._edges = np.cumsum(share)[:-1]
        self.shape, self.spacing = first.shape, first.spacing
        self.label_names = _common_names([part.label_names for part in parts])
        self.patients = tuple(dict.fromkeys(p for part in parts for p in part.patients))

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        """In training any pair of a part drawn by weight, whatever ``index`` is."""
        if self._drawn:
            part = self._parts[int(np.searchsorted(self._edges, rng.uniform(), side="right"))]
            return part.sample(int(rng.integers(len(part))), rng)
        for part in self._parts:
            if index < len(part):
                return part.sample(index, rng)
            index -= len(part)
        raise IndexError(index)


def _common_names(names: list[dict[int, str]]) -> dict[int, str]:
    """Label → the name it has in every part that has it, else its number."""
    columns = zip_longest(*(table.values() for table in names))
    found = [{name for name in column if name} for column in columns]
    return {
        label: next(iter(given)) if len(given) == 1 else f"label_{label}"
        for label, given in enumerate(found)
    }
