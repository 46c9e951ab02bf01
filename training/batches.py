"""Batches: which pairs a step sees, mirrored, turned and varied; a function of the seed alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from ElasticHyperRegLib.engine.threads import give_back_threads

from .augmentation import AugmentationConfig, augment
from .data.pair import PairSample, PairSource

Seed = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Batch:
    """N pairs: images (N, 1, *shape) float32; the rest where all pairs have it.

    Attributes:
        fixed_labels: (N, 1, *shape) int64.
        displacement: the truth of synthetic pairs, (N, D, *shape) voxels along i, j, k.
        fixed_mask: (N, 1, *shape) bool, where the similarity counts; everywhere without it, for a
            pair that has none beside pairs that have one too.
        moving_mask: likewise of the moving images.
    """

    fixed: torch.Tensor
    moving: torch.Tensor
    fixed_labels: torch.Tensor | None
    moving_labels: torch.Tensor | None
    displacement: torch.Tensor | None
    fixed_mask: torch.Tensor | None = None
    moving_mask: torch.Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on ``device``."""

        def there(data: torch.Tensor | None) -> torch.Tensor | None:
            return None if data is None else data.to(device, non_blocking=True)

        return Batch(
            self.fixed.to(device, non_blocking=True),
            self.moving.to(device, non_blocking=True),
            there(self.fixed_labels),
            there(self.moving_labels),
            there(self.displacement),
            there(self.fixed_mask),
            there(self.moving_mask),
        )


def collate(samples: list[PairSample]) -> Batch:
    """Pairs of one shape, stacked."""

    def known(which: str) -> torch.Tensor | None:
        found = [getattr(sample, which) for sample in samples]
        return None if any(item is None for item in found) else torch.stack(found)

    def labels(which: str) -> torch.Tensor | None:
        found = known(which)
        return None if found is None else found.long()

    def masks(side: str) -> torch.Tensor | None:
        found = [getattr(sample, f"{side}_mask") for sample in samples]
        if all(mask is None for mask in found):
            return None
        every = torch.ones_like(samples[0].fixed, dtype=torch.bool)
        return torch.stack([every if mask is None else mask for mask in found])

    return Batch(
        torch.stack([sample.fixed for sample in samples]),
        torch.stack([sample.moving for sample in samples]),
        labels("fixed_labels"),
        labels("moving_labels"),
        known("displacement"),
        masks("fixed"),
        masks("moving"),
    )


def training_batch(
    source: PairSource,
    count: int,
    seed: Seed,
    augmentation: AugmentationConfig = AugmentationConfig(),  # noqa: B008, it is frozen
) -> Batch:
    """``count`` pairs drawn for ``seed``, mirrored and, where the shape allows, turned.

    Raises:
        InputError: see ``augment``.
    """
    rng = np.random.default_rng(seed)
    samples = [source.sample(int(rng.integers(len(source))), rng) for _ in range(count)]
    batch = collate(samples)
    axes = [axis for axis in range(2, batch.fixed.ndim) if rng.random() < 0.5]
    order = _turn(source, rng)

    def turned(data: torch.Tensor) -> torch.Tensor:
        return data.flip(axes).permute(0, 1, *order).contiguous()

    def if_known(data: torch.Tensor | None) -> torch.Tensor | None:
        return None if data is None else turned(data)

    u_vox = batch.displacement
    batch = Batch(
        turned(batch.fixed),
        turned(batch.moving),
        if_known(batch.fixed_labels),
        if_known(batch.moving_labels),
        None if u_vox is None else turned(_seen(u_vox, axes, order)),
        if_known(batch.fixed_mask),
        if_known(batch.moving_mask),
    )
    return augment(batch, source.spacing, augmentation, rng)


def _seen(u_vox: torch.Tensor, mirrored: list[int], order: list[int]) -> torch.Tensor:
    """Channels of a field along the axes that mirroring and turning leave it."""
    last = u_vox.ndim - 1  # tensor dimension of i, whose channel is 0
    signs = torch.ones(u_vox.shape[1])
    signs[[last - axis for axis in mirrored]] = -1
    signed = u_vox * signs.view(1, -1, *[1] * (u_vox.ndim - 2))
    return signed[:, [last - axis for axis in reversed(order)]]


def prefetched(
    make: Callable[[Seed], Batch], seeds: Iterable[Seed], workers: int
) -> Iterator[tuple[Seed, Batch]]:
    """``make(seed)`` of each seed in order; ``workers`` threads make so many of them ahead."""

    def made(seed: Seed) -> Batch:
        try:
            return make(seed)
        finally:
            give_back_threads()

    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[Seed, Future[Batch]]] = deque()
        for seed in seeds:
            waiting.append((seed, pool.submit(made, seed)))
            if len(waiting) > workers:
                first, batch = waiting.popleft()
                yield first, batch.result()
        for seed, batch in waiting:
            yield seed, batch.result()


def _turn(source: PairSource, rng: np.random.Generator) -> list[int]:
    """Order of the spatial tensor dimensions: any that keeps shape and spacing."""
    ndim = len(source.shape)
    order = [int(axis) for axis in rng.permutation(ndim)]
    shape, spacing = source.shape, source.spacing[::-1]
    keeps = all(
        shape[axis] == shape[place] and spacing[axis] == spacing[place]
        for place, axis in enumerate(order)
    )
    return [axis + 2 for axis in (order if keeps else range(ndim))]
