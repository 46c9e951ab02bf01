"""Strain and stress of a deformation, tissue by tissue.

Small strains: ε = (∇u + ∇uᵀ)/2 and σ = λ tr(ε) I + 2 μ ε. λ and μ are relative weights, so stress
is known up to one factor that all tissues share. In 2D a state of plane strain is meant: nothing
stretches across the plane, but the material is as resistant there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch.nn import functional

from ..energies import Coefficient
from ..engine.elasticity import BACKGROUND, EVERYWHERE, tissue_names
from ..engine.sliding import SlidingBorder, bands
from ..field import displacement_gradient, world_points
from ..grid import apply_matrix, resample, sample
from ..types import Grid, LabelMap
from .evidence import Evidence
from .place import Place
from .settings import Setting

REACH = 2
"""Voxels that the divergence of σ looks to each side, a central difference of a central one."""


@dataclass(frozen=True, eq=False)
class Readouts:
    """Strain and stress of a field.

    Attributes:
        strain: ε, (1, D, D, *grid.shape), R, A, S.
        von_mises_strain: (1, 1, *grid.shape).
        von_mises_stress: (1, 1, *grid.shape), in the unit of μ.
        equilibrium_residual: |div σ|, (1, 1, *grid.shape), in the unit of μ per mm; ``nan`` at
            borders between tissues and of the grid.
        grid: of all of them.
        tissues: tissue (or ``everywhere``) → means over its voxels: ``volumetric_strain`` (tr ε),
            ``von_mises_strain``, ``von_mises_stress``, ``equilibrium_residual`` and
            ``equilibrium_residual_relative`` (RMS of div σ by RMS of ∇σ: 0 in equilibrium, about
            1 where the images alone hold the tissue in its shape). What cannot be told is absent.
    """

    strain: torch.Tensor
    von_mises_strain: torch.Tensor
    von_mises_stress: torch.Tensor
    equilibrium_residual: torch.Tensor
    grid: Grid
    tissues: dict[str, dict[str, float]]


def strain(u_mm: torch.Tensor, grid: Grid) -> torch.Tensor:
    """ε = (∇u + ∇uᵀ)/2, (N, D, D, *shape) in the world frame, from u (N, D, *shape) RAS mm."""
    gradient = displacement_gradient(u_mm, grid)
    along_axes = (gradient + gradient.transpose(1, 2)) / 2
    rotation = torch.as_tensor(grid.direction.copy(), dtype=u_mm.dtype, device=u_mm.device)
    return torch.einsum("ab,nbc...,dc->nad...", rotation, along_axes, rotation)


def von_mises_strain(strain_tensor: torch.Tensor) -> torch.Tensor:
    """Equivalent strain √(2/3 e:e), (N, 1, *shape), with e = ε − tr(ε)/3 I.

    Uniaxial strain e gives 2/3 e, simple shear γ gives γ/√3, change of volume alone gives 0.
    """
    squares = strain_tensor.square().sum((1, 2)) - _trace(strain_tensor).square() / 3
    return (squares.clamp_min(0) * (2 / 3)).sqrt()[:, None]


def stress(strain_tensor: torch.Tensor, lam: Coefficient, mu: Coefficient) -> torch.Tensor:
    """σ = λ tr(ε) I + 2 μ ε, (N, D, D, *shape), in the unit of λ and μ.

    Args:
        strain_tensor: (N, D, D, *shape).
        lam: λ, or a map (N or 1, 1, *shape).
        mu: μ likewise.
    """
    dim = strain_tensor.shape[1]
    eye = torch.eye(dim, dtype=strain_tensor.dtype, device=strain_tensor.device)
    isotropic = eye.view(1, dim, dim, *[1] * dim) * _trace(strain_tensor)[:, None, None]
    return _tensor_like(lam) * isotropic + 2 * _tensor_like(mu) * strain_tensor


def von_mises_stress(strain_tensor: torch.Tensor, mu: Coefficient) -> torch.Tensor:
    """√(3/2 s:s) with s = σ − tr(σ)/3 I, which is 3 μ times the equivalent strain: λ drops out."""
    return 3 * mu * von_mises_strain(strain_tensor)


def equilibrium_residual(
    u_mm: torch.Tensor, grid: Grid, lam: Coefficient, mu: Coefficient
) -> torch.Tensor:
    """Div σ, (N, D, *shape) in the world frame, in the unit of μ per mm.

    Zero where no force acts: what is left is the force by which the images hold the tissue. At
    borders between tissues, where λ and μ jump, and within ``REACH`` voxels of the grid's own
    border it means nothing.
    """
    sigma = stress(strain(u_mm, grid), lam, mu)
    # Each row of σ is a vector field, whose divergence is a trace and so the same in every frame.
    rows = [_trace(displacement_gradient(row, grid)) for row in sigma.unbind(1)]
    return torch.stack(rows, dim=1)


def readouts(
    u_mm: torch.Tensor,
    grid: Grid,
    elasticity: Setting,
    labels: LabelMap | None = None,
    sliding: Sequence[SlidingBorder] = (),
    nodes: Grid | None = None,
) -> Readouts:
    """Strain and stress of u, with means by tissue.

    Args:
        u_mm: (1, D, *grid.shape) RAS mm: the elastic part of a map, which is what the energy sees;
            the rotation of an initial alignment would pass for strain.
        grid: of ``u_mm``.
        elasticity: (λ, μ) of the tissues.
        labels: tissues of the fixed image, on any grid.
        sliding: borders about which μ is lowered; they need the labels.
        nodes: of the field, where it was interpolated in between: equilibrium asks for second
            derivatives, which are nothing but the nodes' there.
    """
    place = Place(grid, Evidence(fixed_labels=labels), u_mm.device)
    lam, mu = _moduli(place, elasticity, sliding)
    tensor = strain(u_mm, grid)
    shape = von_mises_strain(tensor)
    means = {
        "volumetric_strain": place.by_tissue(_trace(tensor)[:, None]),
        "von_mises_strain": place.by_tissue(shape),
        "von_mises_stress": place.by_tissue(3 * mu * shape),
    }
    tissues = _by_name(means, place)
    if nodes is None:
        residual, forces = _forces(stress(tensor, lam, mu), place)
    else:
        coarse = Place(nodes, place.evidence, place.device)
        moduli = _moduli(coarse, elasticity, sliding)
        at_nodes = strain(_at(u_mm, grid, nodes), nodes)
        there, forces = _forces(stress(at_nodes, *moduli), coarse)
        residual = resample(there, nodes, grid, mode="nearest")
    for tissue, told in forces.items():
        tissues.setdefault(tissue, {}).update(told)
    return Readouts(tensor, shape, 3 * mu * shape, residual, grid, tissues)


def _moduli(
    place: Place, elasticity: Setting, sliding: Sequence[SlidingBorder]
) -> tuple[torch.Tensor, torch.Tensor]:
    """λ and μ as maps (1, 1, *grid.shape), μ lowered about sliding borders."""
    lam, mu = painted(place, elasticity)
    labels = place.evidence.fixed_labels
    if labels is not None and sliding:
        band = bands(labels, tissue_names(labels), sliding).to(place.device)
        mu = mu * resample(band, labels.grid, place.grid)
    return lam, mu


def _forces(sigma: torch.Tensor, place: Place) -> tuple[torch.Tensor, dict[str, dict[str, float]]]:
    """|div σ| as of ``Readouts``, and its means by tissue."""
    force, steepness = _squared_slopes(sigma, place.grid)
    size, inside = force.sqrt(), interior(place.numbers)
    relative = place.by_tissue(force, inside) / place.by_tissue(steepness, inside)
    means = {
        "equilibrium_residual": place.by_tissue(size, inside),
        "equilibrium_residual_relative": relative.sqrt(),
    }
    return torch.where(inside, size, torch.nan), _by_name(means, place)


def _at(u_mm: torch.Tensor, grid: Grid, nodes: Grid) -> torch.Tensor:
    """A field at the nodes that it was interpolated from: not smoothed, as ``to_grid`` would."""
    points = world_points(nodes, u_mm)
    return sample(u_mm, apply_matrix(grid.ras_to_ijk, points))


def painted(place: Place, elasticity: Setting) -> tuple[torch.Tensor, torch.Tensor]:
    """λ and μ as maps (1, 1, *grid.shape)."""
    labels = place.evidence.fixed_labels
    rest = BACKGROUND if labels is None else labels.names.get(0, BACKGROUND)
    values = [elasticity.of(name) for name in (rest, *place.names)]
    table = torch.tensor([[v.lam, v.mu] for v in values], device=place.device)
    lam, mu = table[place.numbers].unbind(-1)
    return lam, mu


def interior(numbers: torch.Tensor) -> torch.Tensor:
    """Voxels whose neighbours within ``REACH`` are of the same tissue and inside the grid, bool.

    Args:
        numbers: tissue of each voxel, (1, 1, *shape), 0 or more.
    """
    shape = numbers.shape[2:]
    reach = [REACH if length > 1 else 0 for length in shape]
    around = [side for r in reversed(reach) for side in (r, r)]
    padded = functional.pad(numbers.float(), around, value=-1.0)
    pool = functional.max_pool3d if len(shape) == 3 else functional.max_pool2d
    window = [2 * r + 1 for r in reach]
    return pool(padded, window, 1) == -pool(-padded, window, 1)


def _squared_slopes(sigma: torch.Tensor, grid: Grid) -> tuple[torch.Tensor, torch.Tensor]:
    """|div σ|² and ‖∇σ‖², (N, 1, *shape) each; the slopes of a row are found once for both."""
    force, steepness = torch.zeros_like(sigma[:, :1, 0]), torch.zeros_like(sigma[:, :1, 0])
    for row in sigma.unbind(1):
        slopes = displacement_gradient(row, grid)
        force += _trace(slopes)[:, None].square()
        steepness += slopes.square().sum((1, 2))[:, None]
    return force, steepness


def _by_name(maps: dict[str, torch.Tensor], place: Place) -> dict[str, dict[str, float]]:
    rows = zip(*(values.tolist() for values in maps.values()), strict=True)
    return {
        tissue: {key: value for key, value in zip(maps, row, strict=True) if isfinite(value)}
        for tissue, row in zip((EVERYWHERE, *place.names), rows, strict=True)
    }


def _trace(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.diagonal(dim1=1, dim2=2).sum(-1)


def _tensor_like(coefficient: Coefficient) -> Coefficient:
    return coefficient[:, None] if isinstance(coefficient, torch.Tensor) else coefficient
