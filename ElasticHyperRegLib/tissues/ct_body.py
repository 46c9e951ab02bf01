"""Where the body is in a CT scan, and the air that it encloses.

Arrays are (K, J, I) in HU with k upwards (superior), j backwards (posterior), i to the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .morphology import Lattice, components, dilate_faces, fill_slices

TISSUE_HU = -300.0
AIR_HU = -350.0
"""Half-way between inflated lung and soft tissue, as lung masks drawn for radiology have it."""
TABLE_MM = 5.0
"""Table tops, straps and sheets are thinner than twice this."""
LIMB_FRACTION = 0.02
"""A separate arm has at least this fraction of the trunk's volume."""
LIMB_HU = -150.0
"""Foam and wood are lighter than this on average, limbs are not."""
TEXTURE_HU = 60.0
"""The upper quartile of a lung lies at least so far above air, even with emphysema; that of gas in
the bowel or in front of the skin does not."""
SOLID_HU = -550.0
"""The median of stool with bubbles of gas lies above, that of a lung below."""
AIR_LEVEL_HU = -1000.0
SEEN_HU = -1150.0
"""Lower values mark what the scanner did not see: no air lies there that could be cut off."""
AIR_BELOW_HU = -930.0
"""Air of a scan is darker; where none is, the crop holds nothing but lungs."""
CORE_MM = 2.0
CUT_LUNG_ML = 20.0
CUT_LUNG_HU = 75.0
"""The median of a lung that a tight crop cuts on several sides lies at least so far above air."""


@dataclass(frozen=True, eq=False)
class Air:
    """Air of a scan.

    Attributes:
        body: the body, all that it encloses included, bool.
        enclosed: numbered components of air in the body, largest first, 0 elsewhere.
        core: air farther than a partial volume from its border, bool.
        level: HU of the air around the body.
    """

    body: np.ndarray
    enclosed: np.ndarray
    core: np.ndarray
    level: float


def find_body(hu: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Trunk, head and limbs without what they enclose; no table, cushion or strap.

    The largest solid component and others of a limb's size and density. Empty where nothing is
    solid.
    """
    tissue = hu > TISSUE_HU
    solids = components(lattice.open(tissue, TABLE_MM))
    volumes = np.bincount(solids.ravel())[1:]
    kept = [
        number
        for number, volume in enumerate(volumes, start=1)
        if volume >= LIMB_FRACTION * volumes[0] and hu[solids == number].mean() > LIMB_HU
    ]
    return tissue & lattice.dilate(np.isin(solids, kept), TABLE_MM)


def find_air(hu: np.ndarray, body: np.ndarray, lattice: Lattice) -> Air:
    """The air that ``body`` encloses.

    Air is enclosed that reaches no edge of its slice. Two exceptions: a lung cut by the edges of
    the field of view is enclosed, a gap between arm and trunk is not.
    """
    air = (hu < AIR_HU) & (hu > SEEN_HU) & ~body
    filled = fill_slices(body)
    around = components(air & ~filled, lattice.voxels(CUT_LUNG_ML))
    room = np.isin(around, _numbers(np.where(_beside(body), around, 0)))
    level = _level_of(around, room, hu)
    core = lattice.erode(air, CORE_MM)
    cut = _lungs_of(_cut_off(around, room, hu, level), hu, core, level)
    around = air & ~filled & ~cut
    enclosed = components(air & filled)
    beside = np.where(np.isin(enclosed, _numbers(enclosed[dilate_faces(around)])), enclosed, 0)
    gaps = (beside > 0) & ~_lungs_of(beside, hu, core, level)
    inside = (filled | cut) & ~gaps
    return Air(inside, components(air & inside), core, level)


def _beside(body: np.ndarray) -> np.ndarray:
    """Outside of the box, in the plane of the slices, that holds the body, bool."""
    beside = np.ones_like(body)
    rows, columns = (np.flatnonzero(body.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    beside[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = False
    return beside


def _level_of(around: np.ndarray, room: np.ndarray, hu: np.ndarray) -> float:
    """HU of air: of the ``room``, or what is darkest where a crop shows none of it."""
    numbers = _numbers(np.where(room, around, 0)) or _numbers(around)
    level = min((air_level(hu[around == n]) for n in numbers), default=AIR_LEVEL_HU)
    return AIR_LEVEL_HU if level >= AIR_BELOW_HU and not room.any() else level


def _cut_off(around: np.ndarray, room: np.ndarray, hu: np.ndarray, level: float) -> np.ndarray:
    """Components of ``around`` that may be cut lungs.

    Those at one edge; and others that are too dense for air and reach no part of the ``room``,
    where tables, pillows and blankets are.
    """
    unseen = dilate_faces(hu <= SEEN_HU)
    kept = []
    for n in _numbers(around):
        here = around == n
        dense = np.median(hu[here]) > level + CUT_LUNG_HU and not (here & room).any()
        if dense or _edges_touched(here, unseen) == 1:
            kept.append(n)
    return np.where(np.isin(around, kept), around, 0)


def _lungs_of(labels: np.ndarray, hu: np.ndarray, core: np.ndarray, level: float) -> np.ndarray:
    lungs = [n for n in _numbers(labels) if looks_like_lung(hu[core & (labels == n)], level)]
    return np.isin(labels, lungs)


def _edges_touched(mask: np.ndarray, unseen: np.ndarray) -> int:
    """How many edges of the slices ``mask`` reaches, or whether that of what was seen."""
    sides = sum(int(mask[:, e].any()) + int(mask[:, :, e].any()) for e in (0, -1))
    return sides or int((mask & unseen).any())


def _numbers(labels: np.ndarray) -> list[int]:
    return [int(n) for n in np.unique(labels) if n > 0]


def looks_like_lung(values: np.ndarray, level: float) -> bool:
    """Whether HU ``values`` inside a component of air are those of a lung."""
    if not values.size:
        return False
    median, upper = np.percentile(values, [50, 75])
    return bool(median < SOLID_HU and upper > level + TEXTURE_HU)


def air_level(values: np.ndarray) -> float:
    """Median HU of air, without what only marks the outside of the field of view."""
    plausible = values[(values > -1200) & (values < -800)]
    return float(np.median(plausible)) if plausible.size else AIR_LEVEL_HU
