"""Real scans, one of each patient, deformed by simulated motion: the truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.io import read_points

from .folders import SINGLE, read_cases
from .motion import Motion, moved, rescanned
from .pair import SPLITS, PairSample, Window
from .scan import Lattice, Reading, ScanFiles
from .shelf import Shelf


@dataclass(frozen=True)
class SimulatedOptions(Lattice):
    """How scans are prepared and moved.

    Args:
        scheme: tissue scheme that the labels are mapped by; "" leaves them.
        motion_mm: largest velocity; each pair draws its own between 0 and this.
        motion_scale_mm: smallest and largest scale of the motion.
        noise: standard deviation of the noise that both images get; they lie in 0 to 1.
    """

    scheme: str = ""
    motion_mm: float = 25.0
    motion_scale_mm: tuple[float, float] = (20.0, 80.0)
    noise: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise < 0:
            raise InputError(f"a noise of {self.noise:g}", "a number from 0 on")


class SimulatedSource:
    """Pairs of a scan and its deformed self.

    Args:
        root: folder or table of single scans, see ``folders``: ``image`` and, if wanted,
            ``labels`` of each patient.
        split: ``train``; in ``val`` and ``test`` a pair is the same each time.
        options: how scans are prepared and moved.
        window: of the intensities.

    Raises:
        InputError: no scan, a patient in two splits, a file at fault, or sizes that differ.
    """

    def __init__(
        self, root: Path, split: str, options: SimulatedOptions, window: Window = None
    ) -> None:
        cases = read_cases(root, split, SINGLE)
        shelf = Shelf(options, Reading(read_points, options.scheme, window))
        files = [ScanFiles(case.files["image"], case.files.get("labels")) for case in cases]
        self._scans = [shelf.scan(file) for file in files]
        self._options, self._split = options, split
        self._motion = Motion(options.motion_mm, *options.motion_scale_mm)
        self._owner = [case.patient for case in cases]
        self.patients = tuple(dict.fromkeys(self._owner))
        self.shape, self.spacing = shelf.shape, shelf.spacing
        self.label_names = shelf.label_names

    def __len__(self) -> int:
        return len(self._scans)

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        """Scan ``index``: moving(y) = scan(y + w(y)), fixed = scan, and the truth u = w⁻¹."""
        if self._split != "train":
            rng = np.random.default_rng((SPLITS.index(self._split), index))
        scan = self._scans[index]
        motion = self._motion.draw(self.shape, self.spacing, rng)
        w_vox = motion.forward()
        image = torch.from_numpy(scan.image.astype(np.float32))[None, None]
        labels = moving_labels = None
        if scan.labels is not None:
            labels = torch.from_numpy(scan.labels.astype(np.int64))[None, None]
            moving_labels = moved(labels, w_vox, nearest=True)
        mask = moving_mask = None
        if scan.mask is not None:
            mask = torch.from_numpy(scan.mask)[None, None]
            moving_mask = moved(mask, w_vox, nearest=True)[0]
            mask = mask[0]
        noise = self._options.noise
        return PairSample(
            rescanned(image, noise, rng)[0],
            rescanned(moved(image, w_vox), noise, rng)[0],
            None if labels is None else labels[0],
            None if moving_labels is None else moving_labels[0],
            motion.inverse()[0],
            self._owner[index],
            mask,
            moving_mask,
        )
