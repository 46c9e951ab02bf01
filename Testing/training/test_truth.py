"""The known displacement of synthetic pairs: it turns with the images, and teaches at first."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.field import warp_voxels
from ElasticHyperRegLib.networks import build
from training.batches import training_batch
from training.data import PairSample
from training.loop import batch_loss
from training.loss import squared_distance

from .small_source import SIZE, Discs
from .test_loop import config, run


class MovedDiscs(Discs):
    """moving(x) = fixed(x) and a displacement that differs along every axis, in 2D or 3D."""

    def __init__(self, shape: tuple[int, ...] = (SIZE, SIZE), spread: float = 1.0) -> None:
        super().__init__()
        self.shape, self.spacing = shape, (1.0,) * len(shape)
        self._spread = spread

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        noise = torch.Generator().manual_seed(index)
        moving = torch.rand(1, *self.shape, generator=noise)
        steps = torch.arange(1.0, len(self.shape) + 1).view(-1, *[1] * len(self.shape))
        field = self._spread * (torch.rand(len(self.shape), *self.shape, generator=noise) + steps)
        fixed = warp_voxels(moving[None], field[None])[0]
        labels = (moving > 0.5).long()
        return PairSample(fixed, moving, labels, labels, field, self.patients[index % 3])


@pytest.mark.parametrize("shape", [(12, 12), (8, 8, 8), (6, 8, 10)])
@pytest.mark.parametrize("seed", range(6))
def test_turned_truth_still_maps_moving_onto_fixed(shape, seed):
    batch = training_batch(MovedDiscs(shape), 2, (seed,))
    assert batch.displacement is not None
    warped = warp_voxels(batch.moving, batch.displacement)
    torch.testing.assert_close(warped, batch.fixed, atol=1e-5, rtol=0)


def test_distance_of_a_shift_is_its_length_squared():
    u_mm = torch.zeros(2, 3, 4, 4, 4)
    shift = torch.tensor([1.0, 2.0, 2.0]).view(1, 3, 1, 1, 1)
    assert float(squared_distance(u_mm + shift, u_mm)) == pytest.approx(9.0)


@pytest.mark.parametrize(("step", "share"), [(0, 1.0), (2, 1 / 3), (3, 0.0), (5, 0.0)])
def test_truth_costs_a_network_at_rest_what_it_misses(step, share):
    source, seed = MovedDiscs(), (1, step, 0, 0)
    batch = training_batch(source, 2, seed)
    assert batch.displacement is not None
    missed = squared_distance(torch.zeros_like(batch.displacement), batch.displacement)
    network = build(config().model)

    def loss(truth: float) -> float:
        with torch.no_grad():
            return float(batch_loss(config(6, 6, truth=truth), source, network, batch, seed))

    assert loss(2.0) - loss(0.0) == pytest.approx(2.0 * share * float(missed), rel=1e-3, abs=1e-6)


def test_truth_of_pairs_that_have_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="displacement is not known"):
        run(config(2, 2, truth=0.1), tmp_path)
