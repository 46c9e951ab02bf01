"""Tissues of a CT scan by Hounsfield units and morphology: needs no model and no download.

It finds what HU and shape tell apart. It works at about 2 mm and lets every voxel of the scan
decide at the borders.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..errors import InputError
from ..types import Image, LabelMap
from .ct_body import AIR_HU, Air, find_air, find_body
from .ct_bone import BONE_HU, find_bone
from .ct_lungs import (
    fill_vessels,
    find_lungs,
    find_midline,
    find_trachea,
    grow_airways,
    split_sides,
)
from .morphology import Lattice, bounding_box
from .upright import UprightScan

LABELS = {
    0: "background",
    1: "soft_tissue",
    2: "lung_left",
    3: "lung_right",
    4: "airways",
    5: "bone",
    6: "fat",
    7: "gas",
}
SOFT, LEFT, RIGHT, AIRWAYS, BONE, FAT, GAS = range(1, 8)
CANNOT_SEE = (
    "Hounsfield units cannot tell liver, heart, spleen, kidneys, muscles and vessels apart: all "
    "are soft tissue, and so are effusions and consolidated lung. Calcifications, metal and strong "
    "contrast agent count as bone."
)

BORDER_MM = 2.0
FAT_HU = -30.0
LIMITS_HU = (-1200, 3071)
DARK_HU = -500
FATTY_HU = -50
"""Some voxels of any part of a body are darker."""
CUT_OFF = 0.01
"""Part of the voxels at the lowest value from which on lower ones were there once."""


@dataclass(frozen=True, eq=False)
class _Answers:
    """What a voxel is by where it lies: one array each for the kinds of voxel.

    Attributes:
        air: label of an air voxel.
        solid: label of any other voxel; ``FAT`` where density is still to tell fat from soft.
        dense: whether a voxel as dense as bone is bone.
    """

    air: np.ndarray
    solid: np.ndarray
    dense: np.ndarray


def segment_ct(image: Image) -> LabelMap:
    """Background, soft tissue, lungs, airways, bone, fat and gas of a CT scan (``LABELS``).

    Left and right are the patient's, from the world RAS. Lungs hold their vessels; bones their
    marrow. Tables, cushions and straps are background. ``CANNOT_SEE`` says what it cannot tell.

    Args:
        image: 3D CT in HU, any orientation, chest or abdomen, whole or in part.

    Returns:
        Labels on the grid of ``image``.

    Raises:
        InputError: the image is 2D, holds no HU, or shows no body.
    """
    if image.grid.ndim != 3:
        raise InputError(f"{image.name}: a 2D image", "a 3D CT scan")
    check_hounsfield(image)
    scan = UprightScan.of(replace(image, data=image.data.clamp(*LIMITS_HU)), torch.int16)
    body = find_body(scan.coarse, scan.lattice)
    if not body.any():
        raise InputError(f"{image.name}: nothing as dense as tissue", "a CT scan of a body")
    data = scan.turned_back(_segment(scan, body))
    return LabelMap(data, image.grid, dict(LABELS), image.name)


def check_hounsfield(image: Image, within: bool = False) -> None:
    """Refuse what cannot be CT in HU: it would be flooded, or be bone all through.

    Args:
        image: what marks the outside of the scan in it is not looked at.
        within: whether it may show nothing but a part of a body: then values that begin at about 0
            or above, and values that were cut off below, tell other units.

    Raises:
        InputError: no voxel is as dark as air.
    """
    seen = image.data[image.data > LIMITS_HU[0]]
    lowest = float(seen.min()) if seen.numel() else 0.0
    whole = lowest < FATTY_HU and float((seen == lowest).float().mean()) < CUT_OFF
    if lowest > DARK_HU and not (within and whole):
        raise InputError(
            f"{image.name}: no value below {lowest:g}",
            "a CT scan in Hounsfield units with air at about -1000",
            "give the scan in HU; label other images by hand or with another program",
        )


def _segment(scan: UprightScan, body: np.ndarray) -> np.ndarray:
    """Labels, uint8, on the voxels of ``scan.values``; ``body`` as ``find_body`` finds it."""
    hu, coarse = scan.values, scan.coarse
    box = bounding_box(body, margin=2)
    answers = _answers(coarse[box], body[box], scan.lattice)

    def spread(part: np.ndarray) -> np.ndarray:
        whole = np.zeros(coarse.shape, part.dtype)
        whole[box] = part
        return scan.fine(whole)

    labels = np.where(hu < AIR_HU, spread(answers.air), spread(answers.solid))
    smooth = scan.fine(coarse.astype(np.int16))
    labels[(labels == FAT) & (hu + smooth > 2 * FAT_HU)] = SOFT
    labels[spread(answers.dense) & (hu > BONE_HU)] = BONE
    return labels


def _answers(hu: np.ndarray, body: np.ndarray, lattice: Lattice) -> _Answers:
    found = find_air(hu, body, lattice)
    lungs = find_lungs(hu, found, lattice)
    trachea = find_trachea(hu, found, lungs, lattice)
    airways = grow_airways(hu, trachea, lungs, found, lattice)
    middle = find_midline(trachea, body & (hu > BONE_HU), lattice)
    sides = split_sides(lungs & ~airways, middle, lattice)
    tissue = found.body & (found.enclosed == 0)
    sides = fill_vessels(sides, tissue, lattice)
    bone, core = find_bone(hu, tissue & (sides == 0), lattice)
    solid = _if_solid(found.body, tissue & (sides == 0), lattice)
    for side, label in ((1, LEFT), (2, RIGHT)):
        solid[lattice.erode(sides == side, BORDER_MM)] = label
    solid[core] = BONE
    return _Answers(
        _if_air(found, sides, airways, lattice), solid, lattice.dilate(bone, BORDER_MM) & tissue
    )


def _if_air(found: Air, sides: np.ndarray, airways: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Air belongs to the air that is nearest; deep in tissue it is gas, at the skin it is none."""
    deep = lattice.erode(found.body, BORDER_MM)
    gas = (found.enclosed > 0) & (sides == 0) & ~airways
    label = np.where(deep | gas, GAS, 0).astype(np.uint8)
    tissue = found.body & (found.enclosed == 0)
    for mask, value in ((airways, AIRWAYS), (sides == 1, LEFT), (sides == 2, RIGHT)):
        label[mask | (lattice.dilate(mask, BORDER_MM) & tissue)] = value
    return label


def _if_solid(body: np.ndarray, tissue: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Soft tissue up to the skin, skin and pleura included; fat is possible farther inside."""
    label = lattice.dilate(body, BORDER_MM).astype(np.uint8)
    label[lattice.erode(tissue, BORDER_MM)] = FAT
    return label
