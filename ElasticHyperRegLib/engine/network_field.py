"""A trained model bound to one pair: a change of λ and μ costs one pass through the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ..errors import InputError
from ..field import lift_slices, vox_to_mm, warp, with_initial, world_points
from ..grid import coarser, resample, resample_labels
from ..networks import RegistrationNetwork, channels_last, painted, portion
from ..types import Elasticity, Grid, LabelMap
from ..weights import ModelCard
from .arithmetic import computing_in, quickest_type
from .captured import Function, captured
from .elasticity import tissue_names
from .network_grid import network_grid, plane_of
from .prepare import Prepared, Side
from .request import DEFAULT_ELASTICITY

SMALLEST_RANGE = 1e-6
SLICES_AT_ONCE = 10
"""On a processor: a usual stack, each as quick as in a larger batch; between them a live slider may
move on."""
WEAK = Elasticity(0.0, 0.02)

Check = Callable[[], None]


def go_on() -> None:
    """A check that stops nothing."""


@dataclass(frozen=True)
class NetworkOptions:
    """How a model is run.

    Args:
        quick: in half precision where that is quicker here, see ``arithmetic``, and as a graph on
            a device that has them, see ``captured``; velocities are integrated, and gradients
            taken, in float32 all the same.
        coarsening: times the model's spacing, for what does not fit into memory.
    """

    quick: bool = False
    coarsening: float = 1.0


class NetworkField:
    """A ``FieldModel`` whose answers come from a trained network.

    The pair is brought to the network's grid and encoded once. Diffusion models and those with a
    fixed elasticity have one weight α for a (λ, μ): α = λ + μ, which leaves the similarity the
    same weight 1 − λ − μ.

    Args:
        model: network and card, as ``load_model`` gives them; the network goes to ``device``.
        prepared: both images made ready.
        initial: A, (D+1, D+1) RAS mm, fixed → moving points; the moving image is seen through it.
        labels: tissues of the fixed image; a ``map`` model paints λ and μ by them.
        device: where to compute.
        options: how to run the model.

    Attributes:
        dtype: that its convolutions are computed in where no gradient is wanted.

    Raises:
        InputError: the images are not of the model's dimension or plane.
    """

    def __init__(
        self,
        model: tuple[RegistrationNetwork, ModelCard],
        prepared: Prepared,
        initial: np.ndarray,
        labels: LabelMap | None,
        device: torch.device,
        options: NetworkOptions = NetworkOptions(),  # noqa: B008, it is frozen
    ) -> None:
        network, card = model
        fixed = prepared.fixed.image.grid
        check_kind(card, fixed)
        self.name = card.name
        self.grid = network_grid(card, fixed, options.coarsening)
        self.note = coarser_note(card, self.grid)
        self._network, self._card, self._device = network.to(device), card, device
        self.tissues, self._index = self._tissues(labels)
        pair = (
            resample(_values(prepared.fixed, card), fixed, self.grid),
            _through(prepared.moving, card, initial, self.grid),
        )
        with torch.no_grad():
            features = self._network.encode(*(self._as_seen(image) for image in pair))
        self._features = features._replace(
            pairs=tuple(map(channels_last, features.pairs)),
            first=tuple(map(channels_last, features.first)),
        )
        self.dtype = self._quickest() if options.quick else torch.float32
        self._graph = self._captured() if options.quick else None

    @property
    def has_one_weight(self) -> bool:
        """Whether the model knows λ + μ alone, see there."""
        return len(self._card.model.hyper) == 1

    def displacement(
        self, default: Elasticity, tissues: Mapping[str, Elasticity], check: Check = go_on
    ) -> torch.Tensor:
        """d, (1, D, *grid.shape) RAS mm on the device; see ``FieldModel.displacement``.

        Args:
            default: (λ, μ) of what ``tissues`` does not name.
            tissues: by name.
            check: called between the slices of a stack and before integration; may raise to stop.

        Raises:
            InputError: a tissue that the model does not know; different values where it takes
                one setting for everywhere.
        """
        values = self._values(default, tissues)
        if self._graph is not None:
            check()
            return self._graph(values)
        return self._inferred(values, check).clone()  # for autograd to accept it

    @property
    def exact(self) -> NetworkField:
        """The same in float32: what is in half precision hangs on how busy the machine was."""
        return self if self.dtype == torch.float32 else self._exact

    @cached_property
    def _exact(self) -> NetworkField:
        exact = copy(self)
        exact.dtype = torch.float32
        exact._graph = None if self._graph is None else exact._captured()
        return exact

    def velocity(self, default: Elasticity, tissues: Mapping[str, Elasticity]) -> torch.Tensor:
        """The stationary velocity whose exponential is ``displacement``, in the same form."""
        values = self._values(default, tissues)
        with torch.no_grad():
            return self._in_mm(self._velocity(values))

    def predict(self, values: torch.Tensor, check: Check = go_on) -> torch.Tensor:
        """d under λ and μ that may carry a gradient.

        Args:
            values: (T, 2), λ and μ of each of ``tissues``, or (1, 2) where there are none.
            check: as of ``displacement``.

        Returns:
            (1, D, *grid.shape) RAS mm, differentiable in ``values``.
        """
        velocity = self._velocity(values, check)
        check()
        return self._in_mm(self._network.integrate(velocity))

    def _values(self, default: Elasticity, tissues: Mapping[str, Elasticity]) -> torch.Tensor:
        """λ and μ of each tissue that the model obeys, as ``predict`` takes them."""
        unknown = [name for name in tissues if name not in self.tissues]
        if self.tissues and unknown:
            raise InputError(
                f"λ and μ for {', '.join(unknown)}",
                f"tissues that {self.name} knows: {', '.join(self.tissues)}",
            )
        if not self.tissues and len({default, *tissues.values()}) > 1:
            raise InputError(
                f"different λ and μ for {', '.join(tissues)}",
                f"one setting for everywhere, as {self.name} takes it",
                "use a model with tissues or the solver",
            )
        rows = [tissues.get(name, default) for name in self.tissues] or [default]
        return torch.tensor([[row.lam, row.mu] for row in rows], device=self._device)

    def _velocity(self, values: torch.Tensor, check: Check = go_on) -> torch.Tensor:
        """In voxels, (1, D, *grid.shape) or a batch of slices (K, 2, J, I)."""
        dtype = torch.float32 if torch.is_grad_enabled() else self.dtype
        conditioning = self._conditioning(values)  # maps are painted in full precision
        with computing_in(dtype, self._device):
            return self._computed(conditioning, check)

    @torch.no_grad()
    def _quickest(self) -> torch.dtype:
        """What to compute in, tried at the usual λ and μ and where they hold least."""

        def field(conditioning: torch.Tensor) -> torch.Tensor:
            return self._network.integrate(self._computed(conditioning))

        tried = [self._values(value, {}) for value in (DEFAULT_ELASTICITY, WEAK)]
        return quickest_type(field, [self._conditioning(values) for values in tried])

    @torch.inference_mode()
    def _inferred(self, values: torch.Tensor, check: Check = go_on) -> torch.Tensor:
        """``predict`` without gradient."""
        return self.predict(values, check)

    def _captured(self) -> Function | None:
        """``_inferred`` as a graph; ``None`` where the device has none or cannot hold it."""
        usual, other = (self._values(value, {}) for value in (DEFAULT_ELASTICITY, WEAK))
        found = captured(self._inferred, usual, other)
        return None if found == self._inferred else found

    def _conditioning(self, values: torch.Tensor) -> torch.Tensor:
        """What the network is given for λ and μ of each tissue."""
        spec = self._card.model
        hyper = values if len(spec.hyper) == 2 else values.sum(1, keepdim=True)
        conditioning = hyper if spec.conditioning == "global" else hyper[None]
        if spec.conditioning == "map":
            return painted(conditioning, self._index, spec.map_sigma_vox)
        return conditioning

    def _computed(self, conditioning: torch.Tensor, check: Check = go_on) -> torch.Tensor:
        """The velocity, as ``_velocity`` gives it."""
        generated = self._network.generate(conditioning)
        parts = []
        for some in self._portions():
            check()
            mine = tuple(t[some] if len(t) > 1 else t for t in generated)
            parts.append(self._network.predict(portion(self._features, some), mine))
        return torch.cat(parts)

    def _portions(self) -> list[slice]:
        """The batch in pieces that are computed one after the other."""
        count = len(self._features.pairs[0])
        size = SLICES_AT_ONCE if self._device.type == "cpu" else count
        return [slice(begin, begin + size) for begin in range(0, count, size)]

    def _in_mm(self, u_vox: torch.Tensor) -> torch.Tensor:
        return lift_slices(u_vox, self.grid) if self._is_stack else vox_to_mm(u_vox, self.grid)

    @property
    def _is_stack(self) -> bool:
        return self._card.model.ndim < self.grid.ndim

    def _tissues(self, labels: LabelMap | None) -> tuple[tuple[str, ...], torch.Tensor]:
        """Tissues that the model obeys here, and for a ``map`` model each voxel's, by number."""
        spec = self._card.model
        nowhere = torch.zeros(1, 1, *self.grid.shape, dtype=torch.int64)
        if spec.conditioning != "map" or labels is None:
            return spec.tissues if spec.conditioning == "tissue" else (), self._batch(nowhere)
        names = tissue_names(labels)
        order = tuple(dict.fromkeys(names.values()))
        coarse = resample_labels(labels, self.grid).data
        index = nowhere
        for label, name in names.items():
            index = torch.where(coarse == label, order.index(name), index)
        return order, self._batch(index)

    def _as_seen(self, image: torch.Tensor) -> torch.Tensor:
        """What the network is shown of (1, 1, *grid.shape): on the device, of order 1."""
        batch = self._batch(image)
        if self._card.model.ndim == 3 or self._card.expects.intensity_window is not None:
            return batch
        return own_range(batch)

    def _batch(self, data: torch.Tensor) -> torch.Tensor:
        """On the device; the slices of a stack (1, 1, K, J, I) become a batch (K, 1, J, I)."""
        return (data[0].movedim(0, 1) if self._is_stack else data).to(self._device)


def check_kind(card: ModelCard, fixed: Grid) -> None:
    """Refuse images that a model cannot be shown: a 2D model also takes volumes, as stacks.

    Raises:
        InputError: slices for a 3D model; a stack of slices of another plane than it knows.
    """
    if card.model.ndim > fixed.ndim:
        raise InputError(
            f"{fixed.ndim}D images for {card.name}, a {card.model.ndim}D model",
            f"{card.model.ndim}D images",
            "choose a model of their dimension, or none",
        )
    wanted = card.expects.plane
    if wanted is not None and card.model.ndim < fixed.ndim and plane_of(fixed) != wanted:
        raise InputError(
            f"a stack of {plane_of(fixed)} slices for {card.name}, a model of {wanted} ones",
            f"{wanted} slices",
            "permute the axes of the images, or choose another model",
        )


def coarser_note(card: ModelCard, grid: Grid) -> str:
    """What to say where ``grid`` is coarser than the model's own; empty where it is not."""
    wanted = card.expects.spacing_mm
    if all(s < 1.25 * w for s, w in zip(grid.spacing, wanted, strict=False)):
        return ""
    spacing = "×".join(f"{s:.3g}" for s in grid.spacing)
    return f"its field is found at {spacing} mm, coarser than it was trained at"


def _values(side: Side, card: ModelCard) -> torch.Tensor:
    """Intensities in the card's window; of a slice model without one as they are."""
    window = card.expects.intensity_window
    if window is None:
        return side.data if card.model.ndim == 3 else side.image.data.float()
    return windowed(side.image.data, window)


def own_range(slices: torch.Tensor) -> torch.Tensor:
    """Each slice of (…, J, I) from 0 to 1, as models of slices without a window see it.

    A constant slice becomes 0.
    """
    low, high = slices.amin((-2, -1), keepdim=True), slices.amax((-2, -1), keepdim=True)
    return (slices - low) / (high - low).clamp_min(SMALLEST_RANGE)


def windowed(data: torch.Tensor, window: tuple[float, float]) -> torch.Tensor:
    """Intensities from 0 to 1 of an image without padding; also what training is shown."""
    low, high = window
    return ((data.float() - low) / (high - low)).clamp(0, 1)


def _through(side: Side, card: ModelCard, initial: np.ndarray, grid: Grid) -> torch.Tensor:
    """The moving image on the network's grid, seen through the initial alignment.

    Its lowest value stands where it does not reach, as in training.
    """
    moving = side.image.grid
    spacing = np.maximum(moving.spacing, min(grid.spacing))
    working = coarser(moving, tuple(spacing))
    data = resample(_values(side, card), moving, working)
    rest = data.new_zeros(1, grid.ndim, *grid.shape)
    u_mm = with_initial(rest, world_points(grid, rest), initial)
    return warp(data, u_mm, grid, working, fill=float(data.min()))
