"""λ and μ on their way into a network: as angles, as maps.

Shapes of a conditioning, with H hyper-parameters a tissue in the order of ``ModelSpec.hyper``:
``global`` (N, H), ``tissue`` (N, T, H) with the T tissues in the order of ``ModelSpec.tissues``,
``map`` (N, H, *shape) on the grid of the images. N is that of the images, or 1 for all of them;
one pair may likewise be given N conditionings.
"""

from __future__ import annotations

import math

import torch

from ..errors import InputError
from ..grid import gaussian_smooth
from .specs import ModelSpec


def encode_angles(hyper: torch.Tensor) -> torch.Tensor:
    """(cos, sin)(πh/2) of each hyper-parameter h in [0, 1]: (N, H) → (N, 2H).

    Its norm is √H whatever the values, so the scale of what is generated from it does not hang
    on them. Source: Gonzalez Ortiz et al., Magnitude Invariant Parametrizations, ICLR 2024.
    """
    angle = hyper * (math.pi / 2)
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def paint(values: torch.Tensor, tissues: torch.Tensor, sigma_vox: float = 0.0) -> torch.Tensor:
    """Maps Λ, Γ from the values of each tissue: (N, T, H) → (N, H, *shape).

    Args:
        values: hyper-parameters of T tissues.
        tissues: index 0 … T−1 of each voxel's tissue, (N or 1, 1, *shape) integer.
        sigma_vox: of a Gaussian in voxels, which makes Λ_gau of Λ.

    Raises:
        InputError: an index has no values.
    """
    lowest, highest = int(tissues.min()), int(tissues.max())
    if lowest < 0 or highest >= values.shape[1]:
        raise InputError(
            f"tissue indices from {lowest} to {highest}",
            f"0 to {values.shape[1] - 1}",
            "give every tissue its values",
        )
    return painted(values, tissues, sigma_vox)


def painted(values: torch.Tensor, tissues: torch.Tensor, sigma_vox: float = 0.0) -> torch.Tensor:
    """``paint`` for indices that are known to be right: it does not wait for the device."""
    index = tissues[:, 0].long()
    batch = max(len(values), len(index))
    item = torch.arange(batch, device=values.device).view(-1, *([1] * (index.ndim - 1)))
    index = index.expand(batch, *index.shape[1:])
    maps = values.expand(batch, *values.shape[1:])[item, index].movedim(-1, 1)
    return gaussian_smooth(maps, (sigma_vox,) * (maps.ndim - 2))


def check_conditioning(conditioning: torch.Tensor, spec: ModelSpec) -> None:
    """Refuse a conditioning that is not of the shape which ``spec`` asks for.

    Raises:
        InputError: its shape differs.
    """
    given = tuple(conditioning.shape)
    hyper = len(spec.hyper)
    fits, expected = {
        "global": (given[1:] == (hyper,), f"(N, {hyper})"),
        "tissue": (given[1:] == (len(spec.tissues), hyper), f"(N, {len(spec.tissues)}, {hyper})"),
        "map": (
            given[1:2] == (hyper,) and len(given) == 2 + spec.ndim,
            f"(N, {hyper}, *shape) in {spec.ndim}D",
        ),
    }[spec.conditioning]
    if not fits:
        raise InputError(f"a conditioning of shape {given}", f"{expected} for {spec.name}")
