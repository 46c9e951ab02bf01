"""LapIRN: a pyramid of residual networks, each adding to the flow of the coarser one.

Sources: Mok and Chung, LapIRN, MICCAI 2020, and CIR-DM, MICCAI 2021; Wang et al., CSAIN.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional

from ..errors import InputError
from ..field import exponential, norm_to_vox, vox_to_norm, warp_voxels
from ..grid import full_precision, resize
from .cells import pad_to_multiple
from .conditioning import check_conditioning
from .convolution import CONVOLUTION
from .modulation import ConditionalBlock, Gate, GlobalModulation, MapModulation
from .network import (
    SLOPE,
    Flow,
    Generated,
    PairFeatures,
    RegistrationNetwork,
    initialise_flow,
    one_batch,
    shown_channels,
)
from .specs import LapIRNOptions, ModelSpec


class PyramidLevel(nn.Module):
    """One resolution: encoder, conditional residual blocks at half of it, decoder.

    Args:
        inputs: channels in.
        spec: the model.
        options: of its backbone.
    """

    def __init__(self, inputs: int, spec: ModelSpec, options: LapIRNOptions) -> None:
        super().__init__()
        convolution, channels = CONVOLUTION[spec.ndim], 4 * options.start_channels
        upsampling = nn.ConvTranspose2d if spec.ndim == 2 else nn.ConvTranspose3d
        self.encoder = nn.Sequential(
            convolution(inputs, channels, 3, padding=1, bias=False),
            nn.LeakyReLU(SLOPE),
            convolution(channels, channels, 3, padding=1, bias=False),
        )
        self.down = convolution(channels, channels, 3, stride=2, padding=1, bias=False)
        blocks = [
            ConditionalBlock(channels, spec.ndim, _modulation(spec, channels))
            for _ in range(options.blocks)
        ]
        self.blocks = cast("list[ConditionalBlock]", nn.ModuleList(blocks))
        self.gate = Gate(spec, channels) if options.gated else None
        self.up = upsampling(channels, channels, 2, stride=2, bias=False)
        flow = convolution(channels, spec.ndim, 3, padding=1, bias=False)
        initialise_flow(flow)
        self.output = nn.Sequential(
            convolution(2 * channels, channels, 3, padding=1, bias=False),
            nn.LeakyReLU(SLOPE),
            flow,
            nn.Softsign(),
        )

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features at the level's resolution and at half of it."""
        full = self.encoder(x)
        return full, self.down(full)

    def decode(
        self, full: torch.Tensor, half: torch.Tensor, generated: Generated
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow in (−1, 1) and the features that the next level goes on with.

        Args:
            full: as of ``encode``.
            half: likewise.
            generated: for each block, then for the gate, where there is one.
        """
        for block, given in zip(self.blocks, generated[: len(self.blocks)], strict=True):
            half = block(half, given)
        if self.gate is not None:
            gate = generated[-1].to(full.dtype)
            full = full * gate.view(*gate.shape, *[1] * (full.ndim - gate.ndim))
        up = self.up(half)
        return self.output(torch.cat([up, full], dim=1)), up


class LapIRN(RegistrationNetwork):
    """Three such levels; each warps the moving image with what the coarser ones have found.

    The published sizes have 1.22 M parameters in 3D with an MLP for α (CIR-DM), 0.97 M with one
    map (CSAIN). Velocities are added up from level to level and integrated; with
    ``integration_steps=0`` they are displacements, as published. With more than one pass the same
    pyramid looks again, each level at the pair as the velocity so far leaves it.

    Args:
        spec: the model.
        options: of its backbone.
    """

    def __init__(self, spec: ModelSpec, options: LapIRNOptions) -> None:
        super().__init__(spec, multiple=2 ** (options.levels + 1))
        self.given, self.passes = options.blocks + options.gated, options.passes
        self.flow_range = options.flow_range
        levels = [
            PyramidLevel(sum(shown_channels(spec, moved=number > 0).values()), spec, options)
            for number in range(options.levels)
        ]
        self.levels = cast("list[PyramidLevel]", nn.ModuleList(levels))

    def encode(self, fixed: torch.Tensor, moving: torch.Tensor) -> PairFeatures:
        """The pair at every level, and the coarsest level up to its first conditional block."""
        pairs = [self.padded_pair(fixed, moving)]
        for _ in self.levels[1:]:
            pairs.insert(0, _pooled(pairs[0], 2))
        first = self.levels[0].encode(self.at_rest(pairs[0]))
        return PairFeatures(tuple(fixed.shape[2:]), tuple(pairs), first)

    def generate(self, conditioning: torch.Tensor) -> Generated:
        """One tensor a block: γ and β where they hang on α alone, else the map at its resolution.

        After those of a level its gate, where it has one. All in float32.
        """
        check_conditioning(conditioning, self.spec)
        given = [(conditioning, conditioning)] * len(self.levels)
        if self.spec.conditioning == "map":
            given, own = [], _pooled(pad_to_multiple(conditioning, self.multiple), self.spec.patch)
            for _ in self.levels:
                given.insert(0, (own, _pooled(own, 2)))
                own = given[0][1]
        found: list[torch.Tensor] = []
        with full_precision(conditioning):
            for level, (own, half) in zip(self.levels, given, strict=True):
                found += [block.modulation.generate(half) for block in level.blocks]
                found += [] if level.gate is None else [level.gate(own)]
        return tuple(found)

    def forward(
        self,
        fixed: torch.Tensor,
        moving: torch.Tensor,
        conditioning: torch.Tensor,
        levels: int | None = None,
    ) -> Flow:
        """As of every network; with ``levels``, what so many of the coarsest levels have found.

        That is for training coarse to fine: the finer levels take no part.
        """
        if levels is None:
            return super().forward(fixed, moving, conditioning)
        features = self.encode(fixed, moving)
        found = self.velocities(features, self.generate(conditioning), levels)[-1]
        for _ in self.levels[levels:]:
            found = _finer(found)
        velocity = self.whole(found, features)
        return Flow(velocity, self.integrate(velocity))

    def velocity(self, features: PairFeatures, generated: Generated) -> torch.Tensor:
        """Velocity (N, D, *shape) in voxels."""
        return self.whole(self.velocities(features, generated)[-1], features)

    def velocities(
        self, features: PairFeatures, generated: Generated, levels: int | None = None
    ) -> list[torch.Tensor]:
        """Velocity after each of the first ``levels`` levels (all by default) of the last look.

        (N, D, *level shape) float32 in cells of the level, on the padded grid of
        ``features.pairs``.
        """
        self._check_map(features, generated)
        features = one_batch(features, generated)
        found = self._look(features, generated, levels)
        for _ in range(1, self.passes):
            found = self._look(features, generated, levels, found[-1])
        return found

    def _look(
        self,
        features: PairFeatures,
        generated: Generated,
        levels: int | None,
        before: torch.Tensor | None = None,
    ) -> list[torch.Tensor]:
        """Velocity after each level of one look, from the one ``before`` or from rest."""
        found: list[torch.Tensor] = []
        added: torch.Tensor | None = None
        embedding: torch.Tensor | None = None
        for number, level in enumerate(self.levels[:levels]):
            risen = None if added is None else _finer(added)
            lower = risen
            if before is not None:
                start = _coarser(before, features.pairs[number])
                lower = start if risen is None else start + risen
            full, half = self._level_features(features, number, lower)
            if embedding is not None:
                half = half + embedding
            here = generated[number * self.given : (number + 1) * self.given]
            flow, embedding = level.decode(full, half, here)
            velocity = norm_to_vox(flow.float() * self.flow_range)
            added = velocity if risen is None else velocity + risen
            found.append(velocity if lower is None else velocity + lower)
        return found

    def _level_features(
        self, features: PairFeatures, number: int, lower: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if lower is None:
            return features.first[0], features.first[1]
        pair = features.pairs[number]
        with full_precision(pair):
            u_vox = exponential(lower, self.spec.integration_steps)
            fixed, moving = pair.chunk(2, dim=1)
            warped = torch.cat([fixed, warp_voxels(moving.float(), u_vox)], dim=1)
        return self.levels[number].encode(self.shown(warped, vox_to_norm(u_vox)))

    def _check_map(self, features: PairFeatures, generated: Generated) -> None:
        if self.spec.conditioning != "map":
            return
        given = tuple(2 * n for n in generated[-self.given].shape[2:])
        padded = tuple(features.pairs[-1].shape[2:])
        if given != padded:
            raise InputError(
                f"maps of padded shape {given}", f"{padded}", "paint them on the fixed image's grid"
            )


def _modulation(spec: ModelSpec, channels: int) -> GlobalModulation | MapModulation:
    if spec.conditioning == "map":
        return MapModulation(len(spec.hyper), channels, spec.ndim)
    return GlobalModulation(len(spec.hyper), channels)


def _pooled(data: torch.Tensor, factor: int) -> torch.Tensor:
    """Mean of every factor^D voxels: a lower resolution over the same extent, nothing aliases."""
    pool = functional.avg_pool2d if data.ndim == 4 else functional.avg_pool3d
    return pool(data, factor)


def _finer(v_vox: torch.Tensor) -> torch.Tensor:
    """The same velocity in voxels of half the size."""
    with full_precision(v_vox):
        return 2 * resize(v_vox, tuple(2 * n for n in v_vox.shape[2:]))


def _coarser(v_vox: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A velocity in the voxels of a level as coarse as itself or coarser."""
    factor = v_vox.shape[2] // like.shape[2]
    return v_vox if factor == 1 else _pooled(v_vox, factor) / factor
