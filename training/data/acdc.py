"""Cine MR of the heart: the ACDC challenge, end diastole (fixed) to end systole (moving), in 2D.

Preparation and middle slices as Reithmeir et al. (MICCAI 2024): 1.8 mm isotropic, 128 × 128 about
the centre of the fixed label's bounding box, min-max intensity per slice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.io import existing_file

from .pair import PairSample, Window, refuse_shared_patients
from .prepare import (
    isotropic,
    min_max,
    read_labelled,
    require_grid,
    require_labels,
    window,
)

SPACING_MM = 1.8
ACROSS_MM = (20, 200)
"""Of a heart within its slices; others mean that the spacing in the header is wrong."""
LOST = (1.0, 1.0, 1.0)
"""Spacing in a header that has lost it; ACDC has 1.2 to 1.9 mm in slices 5 to 10 mm apart."""
SIZE = 128
LABELS = {0: "background", 1: "right_ventricle", 2: "myocardium", 3: "left_ventricle"}
TISSUES = set(LABELS) - {0}
FOLDERS = {"train": "training", "val": "testing", "test": "testing"}
HALVES = tuple(dict.fromkeys(FOLDERS.values()))
NUMBERS = {"train": range(1, 1000), "val": range(101, 121), "test": range(121, 151)}

Slices = Literal["middle", "all"]


@dataclass(frozen=True)
class AcdcOptions:
    """Which slices of a patient.

    Args:
        slices: ``middle`` slice of the fixed label's bounding box (for scores), or ``all`` that
            show every label in both frames (for training).

    Raises:
        InputError: neither of them.
    """

    slices: Slices = "middle"

    def __post_init__(self) -> None:
        if self.slices not in get_args(Slices):
            raise InputError(f"the slices '{self.slices}'", " or ".join(get_args(Slices)))


class Prepared(NamedTuple):
    """Slices (S, 128, 128) of one patient; images float32 in 0 … 1, labels uint8."""

    fixed: np.ndarray
    moving: np.ndarray
    fixed_labels: np.ndarray
    moving_labels: np.ndarray


class AcdcSource:
    """The pairs of one split, prepared once and kept in memory.

    Args:
        root: the folder that holds ``training`` and ``testing``, as published.
        split: ``train`` (all of ``training``), ``val`` (101–120) or ``test`` (121–150).
        options: which slices.
        window: of the intensities; only None is possible here.

    Raises:
        InputError: no patient of the split, a patient in both folders, a file or a frame missing,
            a label missing, grids that differ, voxels that are no numbers, no slice that shows
            every label; an intensity window.
    """

    spacing = (SPACING_MM, SPACING_MM)
    shape = (SIZE, SIZE)

    def __init__(
        self, root: Path, split: str, options: AcdcOptions = AcdcOptions(), window: Window = None
    ) -> None:
        if window is not None:
            raise InputError(
                f"the intensity window {list(window)} for ACDC",
                "none, as each slice is seen from its lowest to its highest value",
            )
        folders = patient_folders(root, split)
        prepared = [prepare(folder, options.slices) for folder in folders]
        if not any(len(patient.fixed) for patient in prepared):
            raise InputError(
                f"{root}: no slice of the split '{split}' shows every label in both frames",
                "one or more",
                "check the segmentations",
            )
        self.label_names = dict(LABELS)
        self.patients = tuple(folder.name for folder in folders)
        self._owner = [f.name for f, p in zip(folders, prepared, strict=True) for _ in p.fixed]
        parts = (np.concatenate(part)[:, None] for part in zip(*prepared, strict=True))
        self._data = Prepared(*parts)

    def __len__(self) -> int:
        return len(self._owner)

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        """Slice pair ``index``, patients in ascending order; nothing in it is random."""
        fixed, moving = (torch.from_numpy(a[index].copy()) for a in self._data[:2])
        fixed_labels, moving_labels = (
            torch.from_numpy(a[index].astype(np.int64)) for a in self._data[2:]
        )
        return PairSample(fixed, moving, fixed_labels, moving_labels, None, self._owner[index])


def patient_folders(root: Path, split: str) -> list[Path]:
    """Folders of the patients of ``split`` under ``root``, ascending.

    Raises:
        InputError: an unknown split, nobody there, or a patient in both folders.
    """
    if split not in FOLDERS:
        raise InputError(f"the split '{split}'", " or ".join(FOLDERS))
    if not any((root / name).is_dir() for name in HALVES) and (root / "database").is_dir():
        root = root / "database"  # as the challenge's archive unpacks
    found = {name: _patients(root / name) for name in HALVES}
    refuse_shared_patients(
        {str(root / name): tuple(f.name for f in folders) for name, folders in found.items()}
    )
    home = FOLDERS[split]
    chosen = [f for f in found[home] if int(f.name[-3:]) in NUMBERS[split]]
    if not chosen:
        numbers = "" if split == "train" else f" {NUMBERS[split][0]} to {NUMBERS[split][-1]}"
        raise InputError(
            f"{root / home}: no patient of the split '{split}'",
            f"folders patientNNN{numbers} as published by the ACDC challenge",
            "check the data folder",
        )
    return chosen


def _patients(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if re.fullmatch(r"patient\d{3}", f.name))


def frames(folder: Path) -> tuple[int, int]:
    """Numbers of the frames at end diastole and end systole, from ``Info.cfg``.

    Raises:
        InputError: the file is missing or does not name both.
    """
    path = existing_file(folder / "Info.cfg")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    found = dict(re.findall(r"^\s*(E[DS])\s*:\s*(\d+)\s*$", text, re.MULTILINE))
    for name in ("ED", "ES"):
        if name not in found:
            raise InputError(f"{path}: no frame '{name}'", f"a line '{name}: number'")
    if int(found["ED"]) == int(found["ES"]):
        raise InputError(f"{path}: ED and ES are both frame {found['ED']}", "two frames")
    return int(found["ED"]), int(found["ES"])


def prepare(folder: Path, slices: Slices) -> Prepared:
    """The slices of one patient.

    Raises:
        InputError: see ``AcdcSource``.
    """
    volumes, paths = [], []
    for number in frames(folder):
        path, labels_path = (_volume(folder, number, kind) for kind in ("", "_gt"))
        image, labels = read_labelled(path, labels_path)
        require_labels(labels, TISSUES, labels_path)
        volumes.append((image, labels))
        paths.append(path)
    (fixed, fixed_labels), (moving, moving_labels) = volumes
    require_grid(moving.grid, fixed.grid, paths[1], paths[0])
    if np.allclose(fixed.grid.spacing, LOST):
        raise InputError(
            f"{paths[0]}: voxels of 1×1×1 mm",
            "those of the scanner",
            "mend the spacing in its header",
        )
    whole = [isotropic(v, SPACING_MM) for v in (fixed, moving, fixed_labels, moving_labels)]
    low, high = _bounding_box(whole[2], paths[0])
    middle, row, column = ((low + high) // 2).tolist()
    chosen = [middle] if slices == "middle" else _complete_slices(whole[2], whole[3])
    cut = [window(volume[chosen], (row, column), SIZE) for volume in whole]
    return Prepared(*(min_max(c) for c in cut[:2]), *(c.astype(np.uint8) for c in cut[2:]))


def _volume(folder: Path, number: int, kind: str) -> Path:
    """Of a frame, packed as published or unpacked."""
    packed = folder / f"{folder.name}_frame{number:02d}{kind}.nii.gz"
    unpacked = packed.with_suffix("")
    return unpacked if unpacked.exists() and not packed.exists() else packed


def _bounding_box(labels: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    where = np.argwhere(labels > 0)
    low, high = where.min(axis=0), where.max(axis=0)
    across = float(max(high[1:] - low[1:])) * SPACING_MM
    if not ACROSS_MM[0] <= across <= ACROSS_MM[1]:
        raise InputError(
            f"{path}: a heart {across:.0f} mm across",
            f"{ACROSS_MM[0]} to {ACROSS_MM[1]} mm",
            "check the voxel spacing in its header",
        )
    return low, high


def _complete_slices(fixed: np.ndarray, moving: np.ndarray) -> list[int]:
    """Slices that show every tissue in both frames."""
    shown = [
        (labels == tissue).any(axis=(1, 2)) for labels in (fixed, moving) for tissue in TISSUES
    ]
    return np.flatnonzero(np.logical_and.reduce(shown)).tolist()
