"""What both backbones have in common: the split of a forward pass, padding, integration.

A velocity comes of two halves that know nothing of each other: ``encode`` sees the images alone,
``generate`` the hyper-parameters alone; ``predict`` joins them. Whoever moves a slider keeps the
first, whoever registers many pairs with the same values keeps the second.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import nn

from ..errors import InputError
from ..field import exponential
from ..grid import full_precision, resize
from .cells import crop_to, pad_to_multiple, to_cells
from .force import force
from .specs import ModelSpec

SLOPE = 0.2
FLOW_SCALE = 1e-5

Generated = tuple[torch.Tensor, ...]
"""What depends on the hyper-parameters alone; each tensor's first dimension is the batch."""


class PairFeatures(NamedTuple):
    """What depends on the images alone.

    Attributes:
        shape: of the images before padding.
        pairs: (N, 2 × patch^D, *level shape), channels fixed, then moving; padded; coarse to
            fine, in cells.
        first: LapIRN's features of the coarsest pair; of HyperMorph, whose every convolution
            hangs on the hyper-parameters, what its first look is shown.
    """

    shape: tuple[int, ...]
    pairs: tuple[torch.Tensor, ...]
    first: tuple[torch.Tensor, ...] = ()


class Flow(NamedTuple):
    """Both (N, D, *shape) in voxels, channels i, j, k, pointing fixed → moving.

    Attributes:
        velocity: stationary velocity v.
        displacement: u = exp(v) − id, float32.
    """

    velocity: torch.Tensor
    displacement: torch.Tensor


class RegistrationNetwork(nn.Module, ABC):
    """Base of the backbones.

    Args:
        spec: the model.
        multiple: images are padded to a multiple of so many cells, and the result cropped back.
    """

    def __init__(self, spec: ModelSpec, multiple: int) -> None:
        super().__init__()
        self.spec = spec
        self.multiple = multiple * spec.patch

    @abstractmethod
    def encode(self, fixed: torch.Tensor, moving: torch.Tensor) -> PairFeatures:
        """What depends on the images alone; both (N, 1, *shape), intensities of order 1.

        Raises:
            InputError: the images differ in shape or are not of the model's dimension.
        """

    @abstractmethod
    def generate(self, conditioning: torch.Tensor) -> Generated:
        """What depends on the hyper-parameters alone; shapes as in ``conditioning``.

        Raises:
            InputError: a conditioning of another shape.
        """

    @abstractmethod
    def velocity(self, features: PairFeatures, generated: Generated) -> torch.Tensor:
        """What ``predict`` gives, of a backbone."""

    def predict(self, features: PairFeatures, generated: Generated) -> torch.Tensor:
        """Velocity (N, D, *shape) in voxels from the two halves, float32.

        Where one of them is a batch of one, it serves all items of the other.

        Raises:
            InputError: their batches or shapes do not go together.
        """
        return self.velocity(one_batch(features, generated), generated)

    def decode(self, features: PairFeatures, conditioning: torch.Tensor) -> torch.Tensor:
        """Velocity (N, D, *shape) in voxels: ``predict(features, generate(conditioning))``."""
        return self.predict(features, self.generate(conditioning))

    def integrate(self, velocity: torch.Tensor) -> torch.Tensor:
        """u = exp(v) − id in float32, at the resolution of the network's cells.

        The papers leave the resolution open. Half of it, as in VoxelMorph's code, is eight times
        cheaper in 3D but blurs where tissues meet, so it is left to models of ``patch`` 2.
        """
        with full_precision(velocity):
            return self.carried(self._as_cells(velocity.float()), tuple(velocity.shape[2:]))

    def carried(self, v_cells: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """u = exp(v) − id in voxels, (N, D, *shape), of a velocity in cells."""
        return self._as_voxels(exponential(v_cells, self.spec.integration_steps), shape)

    def _as_cells(self, v_vox: torch.Tensor) -> torch.Tensor:
        """A field in voxels as one in cells."""
        patch = self.spec.patch
        return resize(v_vox, tuple(-(-n // patch) for n in v_vox.shape[2:])) / patch

    def _as_voxels(self, v_cells: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """Its inverse, interpolated."""
        return resize(v_cells, shape) * self.spec.patch

    def whole(self, v_cells: torch.Tensor, features: PairFeatures) -> torch.Tensor:
        """A velocity on the padded grid, in cells, as one of the images, in voxels."""
        padded = tuple(n * self.spec.patch for n in v_cells.shape[2:])
        with full_precision(v_cells):
            return crop_to(self._as_voxels(v_cells.float(), padded), features.shape)

    def at_rest(self, pair: torch.Tensor) -> torch.Tensor:
        """What the first look is shown of a pair: with a field of 0 where later looks have one."""
        if self.spec.options.passes == 1:
            return self.shown(pair)
        return self.shown(pair, pair.new_zeros(len(pair), self.spec.ndim, *pair.shape[2:]))

    def shown(self, pair: torch.Tensor, *found: torch.Tensor) -> torch.Tensor:
        """What a look is shown: a pair in cells as warped so far, what was found, and the force.

        The force only where the model has a ``force_window``. Training takes it as given: a look
        learns from where it leaves the pair, not from the force that it makes the next one see.
        """
        window = self.spec.options.force_window
        if not window:
            return torch.cat([pair, *found], dim=1)
        with full_precision(pair):
            seen = pair.detach() if self.training else pair
            pull = force(seen.float(), self.spec.patch, window)
        return torch.cat([pair, *found, pull], dim=1)

    def forward(
        self, fixed: torch.Tensor, moving: torch.Tensor, conditioning: torch.Tensor
    ) -> Flow:
        """Velocity and displacement of a batch of pairs, each with its own conditioning."""
        velocity = self.decode(self.encode(fixed, moving), conditioning)
        return Flow(velocity, self.integrate(velocity))

    def padded_pair(self, fixed: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
        """(N, 2 × patch^D, *padded shape / patch), channels fixed, then moving.

        Raises:
            InputError: as ``encode``.
        """
        given = tuple(fixed.shape)
        if tuple(moving.shape) != given or len(given) != self.spec.ndim + 2 or given[1] != 1:
            raise InputError(
                f"images of shapes {given} and {tuple(moving.shape)}",
                f"both (N, 1, *shape) in {self.spec.ndim}D",
                "resample the moving image onto the fixed image's grid",
            )
        pair = pad_to_multiple(torch.cat([fixed, moving], dim=1), self.multiple)
        return to_cells(pair, self.spec.patch)


def shown_channels(spec: ModelSpec, moved: bool) -> dict[str, int]:
    """What ``RegistrationNetwork.shown`` gives a look or level → its channels, in order.

    Args:
        spec: the model.
        moved: whether the pair has always been warped by something coarser before.
    """
    found = {"pair": 2 * spec.patch**spec.ndim}
    if moved or spec.options.passes > 1:
        found["velocity"] = spec.ndim
    if spec.options.force_window:
        found["force"] = spec.ndim
    return found


def initialise_flow(layer: nn.Conv2d | nn.Conv3d) -> None:
    """N(0, 1e-5) and no bias: a new network starts at the identity."""
    nn.init.normal_(layer.weight, std=FLOW_SCALE)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def one_batch(features: PairFeatures, generated: Generated) -> PairFeatures:
    """``features`` with the batch of ``generated`` where they hold one pair.

    Raises:
        InputError: two batches of different sizes.
    """
    pairs, values = len(features.pairs[0]), len(generated[0])
    if pairs == values or values == 1:
        return features
    if pairs != 1:
        raise InputError(
            f"{pairs} image pairs with {values} conditionings", "as many, or one of either"
        )
    return PairFeatures(
        features.shape,
        tuple(t.expand(values, *t.shape[1:]) for t in features.pairs),
        tuple(t.expand(values, *t.shape[1:]) for t in features.first),
    )


def portion(features: PairFeatures, some: slice) -> PairFeatures:
    """Some pairs of a batch."""
    return PairFeatures(
        features.shape,
        tuple(t[some] for t in features.pairs),
        tuple(t[some] for t in features.first),
    )
