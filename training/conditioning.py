"""The hyper-parameters that a batch is trained at, and the maps they make."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ElasticHyperRegLib.networks import Flow, ModelSpec, paint

from .batches import Batch
from .config import Draws

ENDS = 0.1
"""Share of the draws that lie at a corner of the simplex: what lies on its border is drawn with
probability 0 otherwise, and sliders go there."""
UNIFORM = 0.5
"""Share of the draws of a tissue or map model with one setting for all tissues."""


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Settings of N pairs.

    Attributes:
        network: what the network is given; shapes as in ``ElasticHyperRegLib.networks``.
        lam: λ, or α of a diffusion model: numbers (N, 1, …) or maps (N, 1, *shape).
        mu: μ; ``None`` in a diffusion model.
    """

    network: torch.Tensor
    lam: torch.Tensor
    mu: torch.Tensor | None

    @property
    def weight(self) -> torch.Tensor:
        """Of the similarity: 1 − Λ − Γ, or 1 − α."""
        return 1 - self.lam if self.mu is None else 1 - self.lam - self.mu


def draw(count: int, hyper: int, generator: torch.Generator) -> torch.Tensor:
    """(count, hyper) settings, uniform on λ+μ ≤ 1 by reflection, some of them corners."""
    values = torch.rand(count, hyper, generator=generator)
    if hyper == 2:
        outside = values.sum(1, keepdim=True) > 1
        values = torch.where(outside, 1 - values, values)
    corners = torch.cat([torch.zeros(1, hyper), torch.eye(hyper)])
    chosen = corners[torch.randint(len(corners), (count,), generator=generator)]
    at_end = torch.rand(count, 1, generator=generator) < ENDS
    return torch.where(at_end, chosen, values)


def draw_for(
    spec: ModelSpec,
    count: int,
    tissues: int,
    generator: torch.Generator,
    draws: Draws = "simplex",
) -> torch.Tensor:
    """Settings of every tissue, (count, tissues, hyper); one for all tissues in a global model.

    Args:
        draws: ``independent`` draws λ′ and μ′ each from U(0, 1), tissue by tissue, for the
            objective (2 − Λ′ − Γ′)·D + W(Λ′, Γ′) [MICCAI, eq. 1]. That is twice the objective
            of everything else here, (1 − Λ − Γ)·D + W(Λ, Γ), at λ = λ′/2 and μ = μ′/2; these
            are returned, so that a number means the same to every network and to the solver.
    """
    hyper = len(spec.hyper)
    if draws == "independent":
        places = 1 if spec.conditioning == "global" else tissues
        return torch.rand(count, places, hyper, generator=generator) / hyper
    if spec.conditioning == "global":
        return draw(count, hyper, generator)[:, None]
    values = draw(count * tissues, hyper, generator).view(count, tissues, hyper)
    alike = torch.rand(count, 1, 1, generator=generator) < UNIFORM
    return torch.where(alike, values[:, :1], values)


def condition(spec: ModelSpec, values: torch.Tensor, labels: torch.Tensor | None) -> Conditioning:
    """Network input and energy coefficients of N settings.

    Args:
        values: (N, T, H) from ``draw_for``; T is 1 where one setting holds everywhere.
        labels: tissue index of each voxel, (N, 1, *shape); ``None`` only where T is 1.
    """
    if labels is None or values.shape[1] == 1:
        maps = values[:, 0].view(len(values), -1, *[1] * spec.ndim)
    else:
        maps = paint(values, labels, spec.map_sigma_vox)
    network = {
        "global": lambda: values[:, 0],
        "tissue": lambda: values.expand(-1, len(spec.tissues), -1),
        "map": lambda: maps,
    }[spec.conditioning]()
    return Conditioning(network, maps[:, :1], maps[:, 1:2] if len(spec.hyper) == 2 else None)


def predict(
    model: torch.nn.Module, batch: Batch, setting: Conditioning, levels: int | None = None
) -> Flow:
    """What the network answers; for a map model one setting is spread over the image.

    Args:
        levels: of a pyramid, so many of its coarsest; ``None`` for all of any network.
    """
    network = setting.network
    if network.ndim == batch.fixed.ndim:
        network = network.expand(-1, -1, *batch.fixed.shape[2:])
    given = (batch.fixed, batch.moving, network)
    return model(*given) if levels is None else model(*given, levels)
