"""A source of tiny pairs made in memory: a disc that grows, seen with noise."""

from __future__ import annotations

import numpy as np
import torch

from training.data.pair import PairSample

SIZE = 16


class Discs:
    """``count`` pairs of a disc and a larger disc, labels 0, 1, 2 (rim)."""

    spacing: tuple[float, ...] = (1.0, 1.0)
    shape: tuple[int, ...] = (SIZE, SIZE)
    label_names = {0: "background", 1: "core", 2: "rim"}

    def __init__(self, count: int = 3, patients: tuple[str, ...] = ("a", "b", "c")) -> None:
        self.patients = patients[:count]
        self._count = count

    def __len__(self) -> int:
        return self._count

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        if index >= self._count:
            raise IndexError(index)
        noise = np.random.default_rng(index)
        fixed, fixed_labels = self._disc(3.0 + 0.3 * index, noise)
        moving, moving_labels = self._disc(4.5 + 0.3 * index, noise)
        return PairSample(
            fixed, moving, fixed_labels, moving_labels, None, self.patients[index % 3]
        )

    def _disc(self, radius: float, noise: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        j, i = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
        distance = np.hypot(j, i)
        labels = np.where(distance < radius, 1, np.where(distance < radius + 2, 2, 0))
        image = 1 / (1 + np.exp(distance - radius)) + 0.002 * noise.standard_normal(labels.shape)
        return (
            torch.from_numpy(image[None].astype(np.float32)),
            torch.from_numpy(labels[None].astype(np.int64)),
        )
