"""What a training takes over of the model that it sets out from."""

from __future__ import annotations

import logging
import re

import torch

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.networks import (
    LapIRNOptions,
    ModelSpec,
    RegistrationNetwork,
    shown_channels,
)
from ElasticHyperRegLib.weights import load_model

FIRST_LAYER = re.compile(r"levels\.(\d+)\.encoder\.0\.weight")
FIRST_GENERATED = ("layers.0.base", "layers.0.change.weight")
LOG = logging.getLogger(__name__)

Channels = dict[str, int]
"""What a layer is shown → its channels, in order."""


def take_over(model: RegistrationNetwork, folder: str) -> tuple[dict[str, str], set[str]]:
    """Weights of the model in ``folder`` wherever they fit.

    Returns:
        What its card says of it, and the names of the weights that begin anew.

    Raises:
        InputError: no such model, or one of another kind.
    """
    other, card = load_model(folder)
    for what in ("backbone", "ndim"):
        given, wanted = (getattr(spec, what) for spec in (other.spec, model.spec))
        if given != wanted:
            raise InputError(
                f"start_from {folder}, whose {what} is {given}", f"a model whose {what} is {wanted}"
            )
    own = model.state_dict()
    fitting: dict[str, torch.Tensor] = {}
    for name, tensor in other.state_dict().items():
        if name in own:
            seen = _seen(other.spec, name), _seen(model.spec, name)
            fitted = (
                _fitted_generated(tensor, own[name], seen, model.spec.ndim)
                if name in FIRST_GENERATED
                else _fitted(tensor, own[name], seen)
            )
            fitting |= {} if fitted is None else {name: fitted}
    if not fitting:
        raise InputError(f"start_from {folder}, of which no weight fits", "a model of one backbone")
    model.load_state_dict(own | fitting)
    anew = own.keys() - fitting.keys()
    if anew:
        LOG.warning("of %s these do not fit and begin anew: %s", folder, ", ".join(sorted(anew)))
    about = {"model": card.name, "sha256": card.sha256, "supervision": card.training.supervision}
    return about, anew


def tuned(
    model: RegistrationNetwork, patterns: tuple[str, ...], anew: set[str]
) -> list[torch.nn.Parameter]:
    """The weights that train: all, or those that a pattern names whole; the others are frozen.

    Raises:
        InputError: a pattern names nothing, or what begins ``anew`` would be frozen.
    """
    if not patterns:
        return list(model.parameters())
    named = dict(model.named_parameters())
    for pattern in patterns:
        if not any(re.fullmatch(pattern, name) for name in named):
            raise InputError(
                f"tuned {pattern!r}, which names no weight of {model.spec.name}",
                f"such as {next(iter(named))}",
            )
    chosen = {n for n in named if any(re.fullmatch(pattern, n) for pattern in patterns)}
    if anew - chosen:
        raise InputError(
            f"{min(anew - chosen)}, which start_from does not have and tuned leaves as it is",
            "a model of the same sizes, or all that begins anew in tuned",
        )
    for name, weight in named.items():
        weight.requires_grad_(name in chosen)
    return [weight for weight in model.parameters() if weight.requires_grad]


def _seen(spec: ModelSpec, layer: str) -> Channels:
    """What the first layer of a network, or of a pyramid's level, is shown; else nothing."""
    if layer in FIRST_GENERATED:
        return shown_channels(spec, moved=False)
    number = FIRST_LAYER.fullmatch(layer)
    if number is None or not isinstance(spec.options, LapIRNOptions):
        return {}
    return shown_channels(spec, moved=int(number[1]) > 0)


def _fitted(
    given: torch.Tensor, own: torch.Tensor, seen: tuple[Channels, Channels]
) -> torch.Tensor | None:
    """Weights for the place of ``own``, blind to what the model before did not see.

    Args:
        given: of the model before, (outputs, inputs, …) where it saw something.
        own: what they are to replace.
        seen: what that layer is shown, in the model before and in this one.
    """
    before, now = seen
    if before == now:
        return given if given.shape == own.shape else None
    if before["pair"] != now["pair"] or given.shape[0] != own.shape[0]:
        return None
    parts = dict(zip(before, given.split(list(before.values()), dim=1), strict=True))
    blank = torch.zeros_like(own)
    return torch.cat([parts.get(what, blank[:, :n]) for what, n in now.items()], dim=1)


def _fitted_generated(
    given: torch.Tensor, own: torch.Tensor, seen: tuple[Channels, Channels], ndim: int
) -> torch.Tensor | None:
    """As ``_fitted``, of a convolution of 3^D that is generated: (weights, then biases, …)."""
    (kernel, bias), (own_kernel, own_bias) = (
        _unrolled(theta, sum(shown.values()), 3**ndim)
        for theta, shown in zip((given, own), seen, strict=True)
    )
    fitted = None if bias.shape != own_bias.shape else _fitted(kernel, own_kernel, seen)
    return None if fitted is None else torch.cat([fitted.flatten(0, 2), bias])


def _unrolled(theta: torch.Tensor, inputs: int, voxels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """θ, or its change by each feature → (outputs, inputs, voxels, …) and biases (outputs, …)."""
    outputs = len(theta) // (inputs * voxels + 1)
    weights = outputs * inputs * voxels
    return theta[:weights].reshape(outputs, inputs, voxels, *theta.shape[1:]), theta[weights:]
