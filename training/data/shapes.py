"""Images of nothing: random labels, contrasts and deformations, so that no patient is needed.

After Hoffmann et al., SynthMorph, IEEE TMI 41 (2022): labels are where one of several smooth
random fields is largest; each has an intensity drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.field import compose

from .motion import Motion, moved, rescanned, smooth_noise
from .pair import SPLITS, PairSample

EPOCH = 1000
TEXTURE = 0.06


@dataclass(frozen=True)
class ShapesOptions:
    """What is drawn.

    Args:
        size: voxels along i, j or i, j, k.
        spacing_mm: of the voxels, all axes alike.
        labels: number of tissues, background included.
        blob_mm: smallest and largest scale of the shapes; each pair draws its own.
        motion_mm: largest velocity between the images of a pair.
        motion_scale_mm: smallest and largest scale of the motion.
        noise: standard deviation of the noise; the images lie in 0 to 1.
        held_out: pairs to validate, and as many others to test on.
        seed: of those.

    Raises:
        InputError: a value lies outside its range.
    """

    size: tuple[int, ...] = (96, 96, 96)
    spacing_mm: float = 3.0
    labels: int = 6
    blob_mm: tuple[float, float] = (15.0, 60.0)
    motion_mm: float = 20.0
    motion_scale_mm: tuple[float, float] = (15.0, 60.0)
    noise: float = 0.02
    held_out: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.size) not in (2, 3) or min(self.size) < 8:
            raise InputError(f"a size of {self.size}", "two or three sizes of 8 voxels or more")
        if self.held_out < 1 or self.seed < 0:
            raise InputError(
                f"{self.held_out} pairs held out of the seed {self.seed}",
                "one pair or more, a seed from 0 on",
            )
        low, high = self.blob_mm
        if self.labels < 2 or not 0 < low <= high or self.noise < 0 or self.spacing_mm <= 0:
            raise InputError(
                f"{self.labels} labels of {low:g} to {high:g} mm, noise {self.noise:g}",
                "2 labels or more, positive sizes, the smallest first",
            )


class ShapesSource:
    """An endless source; a pair depends on the random state it is given and nothing else.

    Pairs to validate and to test on depend on their index and ``options.seed`` instead, so that
    they are the same each time.
    """

    def __init__(self, split: str, options: ShapesOptions = ShapesOptions()) -> None:
        if split not in SPLITS:
            raise InputError(f"the split '{split}'", f"one of {', '.join(SPLITS)}")
        self._options = options
        self._split = split
        self._motion = Motion(options.motion_mm, *options.motion_scale_mm)
        self.shape = options.size[::-1]
        self.spacing = (options.spacing_mm,) * len(options.size)
        self.label_names = {
            label: f"shape_{label}" if label else "background" for label in range(options.labels)
        }
        self.patients = (f"shapes {split}",)

    def __len__(self) -> int:
        return EPOCH if self._split == "train" else self._options.held_out

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        """A pair of two deformed views of one made-up body.

        With base(y) the body, fixed(x) = base(x + a(x)) and moving(x) = base(x + b(x)), so that
        the truth is u(x) = a(x) + b⁻¹(x + a(x)).
        """
        options = self._options
        if self._split != "train":
            rng = np.random.default_rng((options.seed, SPLITS.index(self._split), index))
        labels = self._labels(rng)
        base = self._contrast(labels, rng)
        fixed_vox = self._motion.draw(self.shape, self.spacing, rng).forward()
        motion = self._motion.draw(self.shape, self.spacing, rng)
        moving_vox = motion.forward()
        return PairSample(
            rescanned(moved(base, fixed_vox), options.noise, rng)[0],
            rescanned(moved(base, moving_vox), options.noise, rng)[0],
            moved(labels, fixed_vox, nearest=True)[0],
            moved(labels, moving_vox, nearest=True)[0],
            compose(fixed_vox, motion.inverse())[0],
            self.patients[0],
        )

    def _labels(self, rng: np.random.Generator) -> torch.Tensor:
        options = self._options
        scale = float(rng.uniform(*options.blob_mm))
        fields = smooth_noise(self.shape, self.spacing, scale, rng, options.labels)
        return fields.argmax(dim=1, keepdim=True)

    def _contrast(self, labels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Intensities of the labels, with a texture that goes with the tissue."""
        options = self._options
        means = torch.from_numpy(rng.uniform(0, 1, options.labels).astype(np.float32))
        grain = smooth_noise(self.shape, self.spacing, 2 * options.spacing_mm, rng, 1)
        return (means[labels] + TEXTURE * grain).clamp(0, 1)
