"""Residual blocks whose instance normalisation hangs on the hyper-parameters.

x ↦ (1 + γ)·IN(x) + β, with γ and β from an MLP (one value a channel) or from convolutions over a
map (one value a voxel). Sources: Mok and Chung, MICCAI 2021 (distributed mapping); Wang et al.,
CSAIN, eq. 2.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ..grid import full_precision
from .convolution import CONVOLUTION
from .network import SLOPE
from .specs import ModelSpec

LATENT = 64


class GlobalModulation(nn.Module):
    """γ and β of a block's two normalisations from an MLP of the block's own."""

    def __init__(self, hyper: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (hyper, LATENT, LATENT, LATENT):
            layers += [nn.Linear(inputs, LATENT), nn.LeakyReLU(SLOPE)]
        self.mapping = nn.Sequential(*layers)
        styles = [nn.Linear(LATENT, 2 * channels) for _ in range(2)]
        for style in styles:
            nn.init.zeros_(style.bias)
        self.styles = nn.ModuleList(styles)

    def generate(self, conditioning: torch.Tensor) -> torch.Tensor:
        """(N, H) → γ and β, (N, 2 normalisations, 2 × channels)."""
        latent = self.mapping(conditioning)
        return torch.stack([style(latent) for style in self.styles], dim=1)

    def forward(self, x: torch.Tensor, generated: torch.Tensor, which: int) -> torch.Tensor:
        """(1 + γ)·IN(x) + β for normalisation ``which``."""
        style = generated[:, which]
        return _modulate(x, style.view(*style.shape, *[1] * (x.ndim - 2)))


class MapModulation(nn.Module):
    """γ and β of a block's two normalisations from 3^D convolutions over the map.

    γ's and β's convolution stand in one layer of twice the channels. The border of the map
    continues outwards, so that a constant map gives constant γ and β.
    """

    def __init__(self, hyper: int, channels: int, ndim: int) -> None:
        super().__init__()
        self.styles = nn.ModuleList(
            CONVOLUTION[ndim](hyper, 2 * channels, 3, padding=1, padding_mode="replicate")
            for _ in range(2)
        )

    def generate(self, conditioning: torch.Tensor) -> torch.Tensor:
        """The map at the block's resolution, as it is.

        γ and β themselves would be 560 values a voxel in the published network: too many to keep.
        """
        return conditioning

    def forward(self, x: torch.Tensor, generated: torch.Tensor, which: int) -> torch.Tensor:
        """(1 + γ)·IN(x) + β for normalisation ``which``; these of the map in full precision."""
        with full_precision(x):
            style = self.styles[which](generated)
        return _modulate(x, style.to(x.dtype))


class Gate(nn.Module):
    """1 + a factor for each channel, from the hyper-parameters; 1 in a new network.

    From a linear layer (one value a channel) or from a 3^D convolution over the map (one a voxel).
    """

    def __init__(self, spec: ModelSpec, channels: int) -> None:
        super().__init__()
        hyper = len(spec.hyper)
        self.layer: nn.Module = nn.Linear(hyper, channels)
        if spec.conditioning == "map":
            convolution = CONVOLUTION[spec.ndim]
            self.layer = convolution(hyper, channels, 3, padding=1, padding_mode="replicate")
        for parameter in self.layer.parameters():
            nn.init.zeros_(parameter)

    def forward(self, conditioning: torch.Tensor) -> torch.Tensor:
        """(N, H) → (N, channels), or (N, H, *shape) → (N, channels, *shape)."""
        return 1 + self.layer(conditioning)


def _modulate(x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    gamma, beta = style.chunk(2, dim=1)
    return (1 + gamma) * functional.instance_norm(x) + beta


class ConditionalBlock(nn.Module):
    """x + conv(a(conv(a(x)))), rectified, where a is modulated normalisation and LeakyReLU."""

    def __init__(
        self, channels: int, ndim: int, modulation: GlobalModulation | MapModulation
    ) -> None:
        super().__init__()
        self.modulation = modulation
        self.convolutions = nn.ModuleList(
            CONVOLUTION[ndim](channels, channels, 3, padding=1, bias=False) for _ in range(2)
        )

    def forward(self, x: torch.Tensor, generated: torch.Tensor) -> torch.Tensor:
        """(N, C, *shape) → the same shape."""
        y = x
        for which, convolution in enumerate(self.convolutions):
            y = self.modulation(y, generated, which)
            y = convolution(functional.leaky_relu(y, SLOPE, inplace=True))
        return functional.leaky_relu(x + y, SLOPE, inplace=True)
