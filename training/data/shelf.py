"""Prepared scans, kept in memory: each read once, all of one shape and spacing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ElasticHyperRegLib.alignment import align
from ElasticHyperRegLib.engine.prepare import MARGIN_MM
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.tissues import load_scheme
from ElasticHyperRegLib.types import Grid

from .scan import Lattice, Reading, Scan, ScanFiles, Volume, place, read_volume

SPACING_TOLERANCE = 1e-3


class Shelf:
    """Reads scans onto their lattices and keeps them.

    Args:
        lattice: of every scan, about its own centre.
        reading: of their files.

    Raises:
        InputError: the tissues of the scheme cannot be told apart by their order.
    """

    def __init__(self, lattice: Lattice, reading: Reading) -> None:
        self._lattice = lattice
        self._reading = reading
        self._tissues = _ordered_tissues(reading.scheme) if reading.scheme else {}
        self._kept: dict[Path, Scan] = {}
        self._first: tuple[Path, Grid] | None = None
        self._names: dict[int, str] = {}
        self._largest = -1

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along (k, j, i) of every scan so far."""
        return self._grid.shape

    @property
    def spacing(self) -> tuple[float, ...]:
        """Mm along i, j, k of every scan so far."""
        return self._grid.spacing

    @property
    def label_names(self) -> dict[int, str]:
        """Label → tissue, from 0 to the largest; a number stands for what has no name."""
        if self._tissues and self._largest >= 0:
            return dict(self._tissues)
        return {
            label: self._names.get(label, str(label) if label else "background")
            for label in range(self._largest + 1)
        }

    @property
    def _grid(self) -> Grid:
        if self._first is None:
            raise LookupError("no scan has been read")
        return self._first[1]

    def scan(self, files: ScanFiles) -> Scan:
        """One scan on the lattice about its own centre.

        Raises:
            InputError: see ``read_volume``; or its shape or spacing is not that of the others.
        """
        if files.image not in self._kept:
            volume = self._read(files)
            self._kept[files.image] = place(volume, self._lattice_of(volume))
        return self._kept[files.image]

    def pair(self, fixed: ScanFiles, moving: ScanFiles, initial: str) -> tuple[Scan, Scan]:
        """Two scans on the lattice of the fixed one, the moving one seen through an alignment.

        Args:
            initial: kind of alignment, as ``ElasticHyperRegLib.alignment.align`` names it.

        Raises:
            InputError: as ``scan``.
        """
        still, moved = self._read(fixed), self._read(moving)
        lattice = self._lattice_of(still)
        sides = [
            (volume.data, volume.grid, volume.around_mask(MARGIN_MM)) for volume in (still, moved)
        ]
        matrix = align(initial, sides[0], sides[1])
        return place(still, lattice), place(moved, lattice, matrix)

    def _read(self, files: ScanFiles) -> Volume:
        volume = read_volume(files, self._reading)
        if volume.labels is not None:
            self._names.update(volume.labels.names)
            self._largest = max(self._largest, int(volume.labels.data.max()))
        return volume

    def _lattice_of(self, volume: Volume) -> Grid:
        lattice = self._lattice.over(volume.grid)
        if self._first is None:
            self._first = (volume.path, lattice)
        path, first = self._first
        close = np.allclose(lattice.spacing, first.spacing, rtol=SPACING_TOLERANCE)
        if lattice.shape != first.shape or not close:
            raise InputError(
                f"{volume.path}: {lattice}",
                f"size and spacing of {path.name}, {first}",
                "check the header, or set size and spacing_mm for all",
            )
        return lattice


def _ordered_tissues(scheme: str) -> dict[int, str]:
    """Label → tissue, ascending: models know tissues by their place, maps by their label."""
    tissues = sorted(load_scheme(scheme).tissues, key=lambda tissue: tissue.label)
    labels = [tissue.label for tissue in tissues]
    if labels != list(range(len(labels))):
        raise InputError(
            f"the tissue scheme {scheme} with the labels {', '.join(map(str, labels))}",
            f"0 to {len(labels) - 1}, none left out",
            "renumber its tissues",
        )
    return {tissue.label: tissue.name for tissue in tissues}
