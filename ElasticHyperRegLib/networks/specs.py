"""What a model is: its backbone, what it is conditioned on, which energy it was trained with.

Sources: diff-g, HyperMorph (Hoopes et al., IPMI 2021); elas-fixed and elas-g, Reithmeir et al.,
arXiv 2311.08239; diff-sas and elas-sas, Reithmeir et al., MICCAI 2024; CIR-DM, Mok and Chung,
MICCAI 2021; CSAIN, Wang et al., "Conditional Deformable Image Registration with
Spatially-Variant and Adaptive Regularization".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ..errors import InputError

Conditioning = Literal["global", "tissue", "map"]
Regulariser = Literal["diffusion", "elastic"]

LITERATURE: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"lai-fook": (45.33, 8.0), "brock": (15.51, 1.72)}
)
"""(λ, μ) of lung tissue that elas-fixed scales by 1, 0.1 or 0.01 (arXiv 2311.08239, table 1)."""


@dataclass(frozen=True)
class HyperMorphOptions:
    """A U-Net whose convolutions are generated from the hyper-parameters.

    Args:
        rank: features from which every convolution is generated; ``None`` is the published head
            (six layers of 128, all 128 of them), a number the low-rank one: so many tanh
            features over three layers of 128.
        encoder: channels of each level on the way down, finest first.
        decoder: channels of each level on the way up, coarsest first.
        last: channels of the convolutions at full resolution.
        passes: times that it looks at the pair, each time through what it found before; 1 as
            published.
        force_window: box of the NCC whose force on each cell is shown beside the images, voxels,
            odd; 0, as published, shows none.
    """

    rank: int | None = None
    encoder: tuple[int, ...] = (16, 32, 32, 32)
    decoder: tuple[int, ...] = (32, 32, 32, 32)
    last: tuple[int, ...] = (32, 16, 16)
    passes: int = 1
    force_window: int = 0

    def __post_init__(self) -> None:
        _check_window(self.force_window)
        counts = (*self.encoder, *self.decoder, *self.last, 1 if self.rank is None else self.rank)
        if min(*counts, self.passes) < 1 or not self.last or len(self.encoder) != len(self.decoder):
            raise InputError(
                f"{self}", "positive counts, as many levels up as down, one last layer or more"
            )


@dataclass(frozen=True)
class LapIRNOptions:
    """A Laplacian pyramid of residual networks with conditional instance normalisation.

    Args:
        start_channels: a quarter of the features of every layer.
        blocks: residual blocks a level.
        levels: resolutions, each half of the next.
        flow_range: what one level can add, as a fraction of half the image.
        passes: times that the pyramid looks at the pair, as in ``HyperMorphOptions``.
        force_window: as in ``HyperMorphOptions``; every level is shown the force at its resolution.
        gated: whether the hyper-parameters also scale what a level sees at its own resolution.
            As published they meet it at half of that alone, and detail (images and force) passes
            them by.
    """

    start_channels: int = 7
    blocks: int = 5
    levels: int = 3
    flow_range: float = 0.4
    passes: int = 1
    force_window: int = 0
    gated: bool = False

    def __post_init__(self) -> None:
        _check_window(self.force_window)
        counts = (self.start_channels, self.blocks, self.levels, self.passes)
        if min(counts) < 1 or self.flow_range <= 0:
            raise InputError(f"{self}", "positive numbers")


def _check_window(window: int) -> None:
    if window and (window < 3 or window % 2 == 0):
        raise InputError(f"a force_window of {window} voxels", "an odd number from 3 on, or 0")


Options = HyperMorphOptions | LapIRNOptions
BACKBONES: Mapping[str, type[Options]] = MappingProxyType(
    {"hypermorph": HyperMorphOptions, "lapirn": LapIRNOptions}
)
_CONDITIONING: Mapping[str, tuple[Conditioning, ...]] = MappingProxyType(
    {"hypermorph": ("global", "tissue"), "lapirn": ("global", "map")}
)


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to build a model, and what its training minimised.

    Args:
        name: published name.
        options: of the backbone, which they choose.
        ndim: 2 or 3.
        conditioning: one set of hyper-parameters (``global``), one for each tissue (``tissue``,
            HyperMorph) or one for each voxel (``map``, LapIRN).
        regulariser: energy that the hyper-parameters weigh.
        tissues: names in the order of a ``tissue`` model's inputs, or that a ``map`` model was
            trained with (it takes any number of others too).
        fixed_elasticity: (λ, μ) of an elastic energy that one weight α scales as a whole.
        map_sigma_vox: standard deviation of the Gaussian that maps are smoothed with (Λ_gau).
        integration_steps: squarings of the velocity's exponential; 0 takes the network's output
            as the displacement, as CIR-DM and CSAIN did.
        patch: side of the block of voxels that the network sees as one cell, with the voxels as
            channels; its velocity is interpolated between cells. 1 as published; 2 is eight times
            cheaper in 3D, where breathing is smooth, but blurs where tissues meet.
    """

    name: str
    options: Options
    ndim: int = 3
    conditioning: Conditioning = "global"
    regulariser: Regulariser = "elastic"
    tissues: tuple[str, ...] = ()
    fixed_elasticity: tuple[float, float] | None = None
    map_sigma_vox: float = 0.0
    integration_steps: int = 7
    patch: int = 1

    def __post_init__(self) -> None:
        if self.ndim not in (2, 3):
            raise InputError(f"{self.name} in {self.ndim} dimensions", "2 or 3")
        possible = _CONDITIONING[self.backbone]
        if self.conditioning not in possible:
            raise InputError(
                f"{self.backbone} with {self.conditioning} conditioning", " or ".join(possible)
            )
        if (self.conditioning == "tissue") > bool(self.tissues):
            raise InputError(f"{self.name} without tissues", "one name or more", "set tissues")
        if self.conditioning == "global" and self.tissues:
            raise InputError(f"{self.name}, a global model, with tissues", "none")
        if len(set(self.tissues)) < len(self.tissues):
            raise InputError(f"tissues {', '.join(self.tissues)}", "every name once")
        if self.map_sigma_vox < 0 or (self.map_sigma_vox and self.conditioning != "map"):
            raise InputError(f"{self.name} with map_sigma_vox {self.map_sigma_vox:g}", "0")
        if self.fixed_elasticity and self.regulariser != "elastic":
            raise InputError(f"{self.name} with a fixed elasticity", "an elastic regulariser")
        if self.integration_steps < 0:
            raise InputError(f"{self.integration_steps} integration steps", "0 or more")
        if self.patch < 1:
            raise InputError(f"a patch of {self.patch} voxels", "1 or more")

    @property
    def backbone(self) -> str:
        """Name of the backbone that the options belong to."""
        return next(name for name, kind in BACKBONES.items() if isinstance(self.options, kind))

    @property
    def hyper(self) -> tuple[str, ...]:
        """Hyper-parameters of one tissue, in order: (λ, μ), or α alone."""
        whole = self.regulariser == "diffusion" or self.fixed_elasticity is not None
        return ("alpha",) if whole else ("lambda", "mu")


_THORAX = ("background", "lung", "bone", "liver")

SPECS: Mapping[str, ModelSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            ModelSpec("diff-g", HyperMorphOptions(), regulariser="diffusion"),
            ModelSpec("elas-fixed", HyperMorphOptions(), fixed_elasticity=(0.1551, 0.0172)),
            ModelSpec("elas-g", HyperMorphOptions()),
            ModelSpec(
                "diff-sas",
                HyperMorphOptions(),
                conditioning="tissue",
                regulariser="diffusion",
                tissues=_THORAX,
            ),
            ModelSpec("elas-sas", HyperMorphOptions(), conditioning="tissue", tissues=_THORAX),
            ModelSpec("CIR-DM", LapIRNOptions(), regulariser="diffusion"),
            ModelSpec(
                "CSAIN",
                LapIRNOptions(),
                conditioning="map",
                regulariser="diffusion",
                map_sigma_vox=0.8,
            ),
            ModelSpec("CSAIN-elastic", LapIRNOptions(), conditioning="map", map_sigma_vox=0.8),
        )
    }
)
"""The published models in 3D; ``dataclasses.replace`` gives other dimensions, heads, tissues."""
