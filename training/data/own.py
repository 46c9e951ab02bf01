"""Pairs of one's own, from folders or a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ElasticHyperRegLib.alignment import KINDS
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.io import read_points

from .folders import PAIRED, Case, read_cases
from .pair import PairSample, Window
from .scan import Lattice, Reading, ScanFiles, pair_of, require_same_points
from .shelf import Shelf


@dataclass(frozen=True)
class OwnOptions(Lattice):
    """How pairs are prepared.

    Args:
        scheme: tissue scheme that the labels are mapped by; "" leaves them.
        initial: alignment that a pair goes through first; the same in use.
    """

    scheme: str = ""
    initial: str = "affine"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.initial not in KINDS:
            raise InputError(f"the alignment '{self.initial}'", f"one of {', '.join(KINDS)}")


class OwnSource:
    """The pairs of one split, prepared once and kept in memory.

    Args:
        root: folder or table, see ``folders``: ``fixed`` and ``moving`` and, if wanted,
            ``fixed_labels``, ``fixed_mask``, ``fixed_points`` and the same of ``moving``.
        split: ``train``, ``val`` or ``test``.
        options: how pairs are prepared.
        window: of the intensities.

    Raises:
        InputError: no pair, a patient in two splits, a file at fault, or sizes that differ.
    """

    def __init__(
        self, root: Path, split: str, options: OwnOptions = OwnOptions(), window: Window = None
    ) -> None:
        cases = read_cases(root, split, PAIRED)
        shelf = Shelf(options, Reading(read_points, options.scheme, window))
        self._pairs = []
        for case in cases:
            pair = shelf.pair(_files(case, "fixed"), _files(case, "moving"), options.initial)
            require_same_points(*pair, case.where)
            self._pairs.append(pair)
        self._owner = [case.patient for case in cases]
        self.patients = tuple(dict.fromkeys(self._owner))
        self.shape, self.spacing = shelf.shape, shelf.spacing
        self.label_names = shelf.label_names

    def __len__(self) -> int:
        return len(self._pairs)

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        """Pair ``index`` in the order of the table; nothing in it is random."""
        return pair_of(*self._pairs[index], self._owner[index])


def _files(case: Case, side: str) -> ScanFiles:
    labels, mask, points = (
        case.files.get(f"{side}_{kind}") for kind in ("labels", "mask", "points")
    )
    return ScanFiles(case.files[side], labels, mask, points)
