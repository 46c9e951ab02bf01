"""The Learn2Reg challenge: NLST, LungCT and OASIS, in the layout and the splits it publishes.

``<name>_dataset.json`` beside ``imagesTr``, ``imagesTs`` and, with the same file names,
``labelsTr``, ``masksTr``, ``keypointsTr``, ``landmarksTr``. Its tables of pairs are the splits;
training pairs of a patient who is also validated or tested on are left out (the table of NLST has
ten of those). Points are rows of voxel indices i, j, k. Voxels correspond by their index.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.grid import map_points
from ElasticHyperRegLib.io import existing_file
from ElasticHyperRegLib.types import Grid

from .pair import SPLITS, PairSample, Window, refuse_shared_patients
from .scan import Lattice, Reading, ScanFiles, pair_of, require_same_points
from .shelf import Shelf

Labels = Literal["published", "totalsegmentator", "none"]
Masks = Literal["published", "none"]
PUBLISHED_KINDS = {"mask": "masks", "label": "labels", "keypoints": "keypoints"}
TABLES = {"val": "registration_val", "test": "registration_test"}
FREESURFER = (
    *(0, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 26, 28, 30, 31),
    *(41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53, 54, 58, 60, 62, 63),
)
"""OASIS's label n is the n-th of these structures: FreeSurfer's numbers without the gaps."""


@dataclass(frozen=True)
class Learn2RegOptions(Lattice):
    """How the scans are prepared.

    Args:
        labels: ``published`` with the data set; ``totalsegmentator``, maps of its task total that
            you have made yourself, in ``labelsTr`` and ``labelsTs`` under the names of the images;
            or ``none``.
        scheme: tissue scheme that the labels are mapped by; by default TotalSegmentator's by
            ``nlst``, the class set of the published models, and others not at all. It knows
            OASIS's labels by FreeSurfer's numbers, as ``brain-mr`` does.
        masks: whether images are compared within the masks ``published`` with the data set, which
            show the lungs alone in NLST and LungCT, or everywhere (``none``).
    """

    labels: Labels = "published"
    scheme: str = ""
    masks: Masks = "published"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels not in get_args(Labels):
            raise InputError(f"the labels '{self.labels}'", f"one of {', '.join(get_args(Labels))}")

    @property
    def used_scheme(self) -> str:
        """Name of the tissue scheme; "" for none."""
        return self.scheme or ("nlst" if self.labels == "totalsegmentator" else "")


class Case(NamedTuple):
    """File name of an image, as the table has it, and who it shows."""

    image: str
    patient: str


@dataclass(frozen=True, eq=False)
class Description:
    """What ``<name>_dataset.json`` says.

    Attributes:
        path: of the file.
        pairs: split → pairs (fixed, moving).
        singles: training scans where training pairs are free to choose (OASIS).
        kinds: what is published with every image, keys of ``PUBLISHED_KINDS``.
    """

    path: Path
    pairs: dict[str, list[tuple[Case, Case]]]
    singles: list[Case] = field(default_factory=list)
    kinds: frozenset[str] = frozenset()


class Learn2RegSource:
    """The pairs of one split, prepared once and kept in memory.

    Args:
        name: ``NLST``, ``LungCT`` or ``OASIS``.
        root: folder with ``<name>_dataset.json``, or the folder around it.
        split: ``train``, ``val`` or ``test``. In ``test`` only what is published is used: masks
            or points that are held back are None.
        options: how the scans are prepared.
        window: of the intensities.

    Raises:
        InputError: the description is missing or broken, no pair in the split, a patient in two
            splits, a file missing or damaged, another size or spacing than the rest.
    """

    def __init__(
        self, name: str, root: Path, split: str, options: Learn2RegOptions, window: Window = None
    ) -> None:
        about = read_description(name, root)
        self._random = split == "train" and bool(about.singles)
        self._pairs = _pairs_of(about, split)
        self._options, self._split = options, split
        numbers = FREESURFER if name == "OASIS" else ()
        shelf = Shelf(options, Reading(read_voxel_points, options.used_scheme, window, numbers))
        cases = dict.fromkeys(case for pair in self._pairs for case in pair)
        self._scans = {case: shelf.scan(self._files(about, case)) for case in cases}
        if not self._random:
            for fixed, moving in self._pairs:
                require_same_points(self._scans[fixed], self._scans[moving], fixed.image)
        self.shape, self.spacing = shelf.shape, shelf.spacing
        self.label_names = shelf.label_names
        self.patients = tuple(dict.fromkeys(case.patient for case in cases))

    def __len__(self) -> int:
        return len(self._pairs)

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        """Pair ``index``; in training on OASIS scan ``index`` with another one drawn."""
        fixed, moving = self._pairs[index]
        if self._random:
            step = int(rng.integers(1, len(self._pairs)))
            moving = self._pairs[(index + step) % len(self._pairs)][0]
        patient = " ".join(dict.fromkeys((fixed.patient, moving.patient)))
        return pair_of(self._scans[fixed], self._scans[moving], patient)

    def _files(self, about: Description, case: Case) -> ScanFiles:
        image = existing_file(about.path.parent / case.image)

        def beside(folder: str, suffix: str, needed: bool) -> Path | None:
            part = image.parent.name.removeprefix("images")
            path = image.parent.parent / f"{folder}{part}" / image.name.replace(".nii.gz", suffix)
            return path if path.exists() or (needed and self._split != "test") else None

        labels = None
        if self._options.labels != "none":
            needed = "label" in about.kinds or self._options.labels == "totalsegmentator"
            labels = beside("labels", ".nii.gz", needed) if needed else None
        points = beside("landmarks", ".csv", False)
        points = points or beside("keypoints", ".csv", "keypoints" in about.kinds)
        mask = None
        if self._options.masks != "none":
            mask = beside("masks", ".nii.gz", "mask" in about.kinds)
        return ScanFiles(image, labels, mask, points)


def read_description(name: str, root: Path) -> Description:
    """Read ``<name>_dataset.json`` under ``root``.

    Raises:
        InputError: it is missing or no such description, or a patient is in two splits.
    """
    inner = root / name / f"{name}_dataset.json"
    path = inner if inner.exists() else root / f"{name}_dataset.json"
    try:
        table = json.loads(existing_file(path).read_text(encoding="utf-8"))
        pairs = {split: _read_pairs(table.get(key, [])) for split, key in TABLES.items()}
        train = _read_pairs(table.get("training_paired_images", []))
        singles = [] if train else [_case(entry["image"]) for entry in table["training"]]
        provided = table["provided_data"]["0"]
        kinds = frozenset(kind for kind in PUBLISHED_KINDS if kind in provided)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: {type(error).__name__} {error}",
            f"the description of {name} as Learn2Reg publishes it",
            "download it again",
        ) from error
    held_out = {case.patient for split in pairs.values() for pair in split for case in pair}
    pairs["train"] = [pair for pair in train if held_out.isdisjoint(c.patient for c in pair)]
    singles = [case for case in singles if case.patient not in held_out]
    refuse_shared_patients(
        {
            f"{key} of {path}": tuple(case.patient for pair in pairs[split] for case in pair)
            for split, key in TABLES.items()
        }
    )
    return Description(path, pairs, singles, kinds)


def _read_pairs(rows: list[dict[str, Any]]) -> list[tuple[Case, Case]]:
    return [(_case(row["fixed"]), _case(row["moving"])) for row in rows]


def _case(image: str) -> Case:
    """``./imagesTr/NLST_0007_0001.nii.gz`` is patient NLST 7; ``_00007_`` is the same one."""
    match = re.search(r"([^/]+)_(\d+)_\d{4}\.nii\.gz$", image)
    if not match:
        raise ValueError(f"'{image}' is no image of a patient")
    return Case(image.removeprefix("./"), f"{match[1]} {int(match[2])}")


def _pairs_of(about: Description, split: str) -> list[tuple[Case, Case]]:
    if split not in SPLITS:
        raise InputError(f"the split '{split}'", f"one of {', '.join(SPLITS)}")
    pairs = about.pairs[split]
    if split == "train" and len(about.singles) > 1:
        pairs = [(case, case) for case in about.singles]
    if not pairs:
        raise InputError(f"{about.path}: no pair in the split '{split}'", "one or more")
    return pairs


def read_voxel_points(path: Path, grid: Grid) -> np.ndarray:
    """Points (P, 3) RAS mm from rows of voxel indices i, j, k of ``grid``.

    Raises:
        InputError: the file is missing or holds anything else.
    """
    try:
        points = np.loadtxt(existing_file(path), delimiter=",", ndmin=2)
    except ValueError as error:
        raise InputError(f"{path} cannot be read ({error})", "rows i,j,k of numbers") from error
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InputError(f"{path}: points of shape {points.shape}", "rows i,j,k of finite numbers")
    return map_points(grid.ijk_to_ras, points)
