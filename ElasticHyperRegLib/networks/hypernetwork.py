"""Convolutions whose weights are generated from a handful of features.

θ(h) = θ₀ + W h: a learnt base, and a change of it that is linear in the features h. θ₀ takes the
place of the bias of the published dense head, so the number of parameters is the same.
Source: Gonzalez Ortiz et al., Magnitude Invariant Parametrizations Improve Hypernetwork Learning,
ICLR 2024.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from .convolution import convolve
from .network import SLOPE

WIDTH = 128
FULL_DEPTH = 6
LOW_RANK_DEPTH = 3
INITIAL_CHANGE = 0.1


class Features(nn.Module):
    """Features h of the encoded hyper-parameters (N, inputs) → (N, count).

    Args:
        inputs: numbers in.
        rank: ``None``: 128 ReLU features, the last of six layers; else so many tanh features
            over three layers of 128.
    """

    def __init__(self, inputs: int, rank: int | None) -> None:
        super().__init__()
        depth = FULL_DEPTH if rank is None else LOW_RANK_DEPTH
        layers: list[nn.Module] = []
        for width in [inputs, *[WIDTH] * (depth - 1)]:
            linear = nn.Linear(width, WIDTH)
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.ReLU()]
        if rank is not None:
            linear = nn.Linear(WIDTH, rank)
            nn.init.xavier_normal_(linear.weight)
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.count = WIDTH if rank is None else rank
        # An Adam step moves θ by the step times Σ|h|: 128 ReLU features are scaled to a norm of
        # about 1, or the common part of h would drown what tells one (λ, μ) from another.
        self.scale = WIDTH**-0.5 if rank is None else 1.0

    def forward(self, encoded: torch.Tensor) -> torch.Tensor:
        """(N, inputs) → (N, count)."""
        return self.layers(encoded) * self.scale


class GeneratedConvolution(nn.Module):
    """A convolution of 3^D, LeakyReLU 0.2, with weights and bias θ(h) of its own a batch item.

    Args:
        inputs: channels in.
        outputs: channels out.
        ndim: 2 or 3.
        features: length of h.
    """

    def __init__(self, inputs: int, outputs: int, ndim: int, features: int) -> None:
        super().__init__()
        self.kernel = (inputs, *[3] * ndim)
        self.weights = outputs * math.prod(self.kernel)
        self.base = nn.Parameter(torch.empty(self.weights + outputs))
        self.change = nn.Linear(features, self.weights + outputs, bias=False)
        deviation = math.sqrt(2 / ((1 + SLOPE**2) * math.prod(self.kernel)))
        nn.init.normal_(self.base[: self.weights].detach(), std=deviation)
        nn.init.zeros_(self.base[self.weights :].detach())
        nn.init.normal_(self.change.weight, std=INITIAL_CHANGE * deviation)

    def generate(self, h: torch.Tensor) -> torch.Tensor:
        """θ(h): (N, features) → (N, weights and biases)."""
        return self.base + self.change(h)

    def forward(self, x: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """(N, inputs, *shape), θ of (N or 1, …) → (N, outputs, *shape).

        The batch is folded into the channels of a grouped convolution, one group an item.
        """
        groups, shape = len(theta), x.shape[2:]
        weight = theta[:, : self.weights].reshape(-1, *self.kernel)
        bias = theta[:, self.weights :].reshape(-1)
        folded = x.reshape(-1, groups * x.shape[1], *shape)
        y = convolve(folded, weight, bias)
        return functional.leaky_relu(y.reshape(len(x), -1, *shape), SLOPE, inplace=True)
