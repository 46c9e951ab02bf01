"""HyperMorph: a U-Net whose every convolution but the last hangs on the hyper-parameters.

Sources: Hoopes et al., HyperMorph, IPMI 2021; Reithmeir et al., arXiv 2311.08239 and MICCAI 2024.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional

from ..field import warp_voxels
from ..grid import full_precision
from .cells import channels_last, from_cells, to_cells
from .conditioning import check_conditioning, encode_angles
from .convolution import CONVOLUTION
from .hypernetwork import Features, GeneratedConvolution
from .network import (
    Generated,
    PairFeatures,
    RegistrationNetwork,
    initialise_flow,
    shown_channels,
)
from .specs import HyperMorphOptions, ModelSpec


class HyperMorph(RegistrationNetwork):
    """U-Net with one generated convolution a level and skips; the flow convolution is ordinary.

    The published sizes have 42.14 M parameters in 3D and 14.13 M in 2D. With more than one pass
    the same U-Net looks again, at the pair as its velocity so far leaves it and at that velocity,
    and adds what it finds.

    Args:
        spec: the model.
        options: of its backbone.
    """

    def __init__(self, spec: ModelSpec, options: HyperMorphOptions) -> None:
        super().__init__(spec, multiple=2 ** len(options.encoder))
        self.depth, self.passes = len(options.encoder), options.passes
        inputs = 2 * len(spec.hyper) * max(len(spec.tissues), 1)
        self.features = Features(inputs, options.rank)
        seen = sum(shown_channels(spec, moved=False).values())
        layers = [
            GeneratedConvolution(n_in, n_out, spec.ndim, self.features.count)
            for n_in, n_out in _channels(seen, options)
        ]
        self.layers = cast("list[GeneratedConvolution]", nn.ModuleList(layers))
        self.flow = CONVOLUTION[spec.ndim](options.last[-1], spec.ndim, 3, padding=1)
        initialise_flow(self.flow)

    def encode(self, fixed: torch.Tensor, moving: torch.Tensor) -> PairFeatures:
        """The padded pair, and what the first look sees: no convolution before a generated one."""
        pair = self.padded_pair(fixed, moving)
        return PairFeatures(tuple(fixed.shape[2:]), (pair,), (self.at_rest(pair),))

    def generate(self, conditioning: torch.Tensor) -> Generated:
        """Weights of each convolution, (N, count), in float32."""
        check_conditioning(conditioning, self.spec)
        with full_precision(conditioning):
            h = self.features(encode_angles(conditioning.flatten(1)))
            return tuple(layer.generate(h) for layer in self.layers)

    def velocity(self, features: PairFeatures, generated: Generated) -> torch.Tensor:
        """Velocity (N, D, *shape) in voxels."""
        pair, shown = features.pairs[-1], features.first[0]
        v_cells: torch.Tensor | None = None
        for _ in range(self.passes):
            if v_cells is not None:
                shown = self.shown(self._through(pair, v_cells), v_cells)
            if len(generated[0]) == 1:  # weights of their own fold a batch into the channels
                shown = channels_last(shown)
            found = self._look(shown, generated).float()  # sums of halves would lose bits
            v_cells = found if v_cells is None else v_cells + found
        return self.whole(cast(torch.Tensor, v_cells), features)

    def _look(self, x: torch.Tensor, generated: Generated) -> torch.Tensor:
        """The U-Net: what it is shown → velocity in cells."""
        layers = iter(zip(self.layers, generated, strict=True))

        def convolve(x: torch.Tensor) -> torch.Tensor:
            layer, theta = next(layers)
            return layer(x, theta)

        pool = functional.max_pool2d if self.spec.ndim == 2 else functional.max_pool3d
        skips = []
        for _ in range(self.depth):
            x = convolve(x)
            skips.append(x)
            x = pool(x, 2)
        for _ in range(self.depth):
            x = functional.interpolate(convolve(x), scale_factor=2, mode="nearest")
            x = torch.cat([x, skips.pop()], dim=1)
        for _ in range(len(self.layers) - 2 * self.depth):
            x = convolve(x)
        return self.flow(x)

    def _through(self, pair: torch.Tensor, v_cells: torch.Tensor) -> torch.Tensor:
        """The pair with its moving image seen through a velocity; both in cells."""
        fixed, moving = pair.chunk(2, dim=1)
        with full_precision(pair):
            voxels = from_cells(moving.float(), self.spec.patch)
            shape = tuple(voxels.shape[2:])
            u_vox = self.carried(v_cells.float(), shape)
            warped = warp_voxels(voxels, u_vox)
        return torch.cat([fixed, to_cells(warped, self.spec.patch).to(fixed.dtype)], dim=1)


def _channels(n_in: int, options: HyperMorphOptions) -> list[tuple[int, int]]:
    """Channels in and out of each generated convolution, in order."""
    pairs = []
    for n_out in options.encoder:
        pairs.append((n_in, n_out))
        n_in = n_out
    for n_out, skip in zip(options.decoder, reversed(options.encoder), strict=True):
        pairs.append((n_in, n_out))
        n_in = n_out + skip
    for n_out in options.last:
        pairs.append((n_in, n_out))
        n_in = n_out
    return pairs
