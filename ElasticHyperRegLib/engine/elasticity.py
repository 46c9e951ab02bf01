"""Per-tissue (λ, μ) → maps Λ, Γ painted from the fixed labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..energies import Coefficient
from ..errors import InputError
from ..types import Elasticity, LabelMap
from .request import RegistrationRequest
from .sliding import bands, check_sides, shear_at

BACKGROUND = "background"
EVERYWHERE = "everywhere"


def check_tissues(tissues: Mapping[str, Elasticity], labels: LabelMap | None) -> None:
    """Refuse tissues that no fixed label stands for.

    Raises:
        InputError: there are no fixed labels, or they have no tissue of that name.
    """
    if not tissues:
        return
    if labels is None:
        raise InputError(
            f"λ and μ for {', '.join(map(str, tissues))} without fixed labels",
            "a label map of the fixed image that says where they are",
            "give fixed labels, or one λ,μ for everywhere",
        )
    known = {*tissue_names(labels).values(), *labels.names.values()}
    unknown = [name for name in tissues if name not in known]
    if unknown:
        raise InputError(
            f"λ and μ for {', '.join(map(str, unknown))}",
            f"tissues of {labels.name}: {', '.join(sorted(known))}",
            "correct the name, or name the labels by a tissue scheme",
        )


def coefficients(request: RegistrationRequest) -> tuple[Coefficient, Coefficient]:
    """λ and μ for the solver: numbers, or maps (1, 1, *fixed.shape) where tissues differ.

    Raises:
        InputError: a border that may slide is one of a tissue that is not there.
    """
    default, labels = request.options.elasticity, request.fixed_labels
    if labels is None or not (request.options.tissues or request.options.sliding):
        return default.lam, default.mu
    lam = torch.full_like(labels.data, default.lam, dtype=torch.float32)
    mu = torch.full_like(lam, default.mu)
    for label, name in tissue_names(labels).items():
        value = request.options.tissues.get(name, default)
        here = labels.data == label
        lam[here], mu[here] = value.lam, value.mu
    return lam, mu * bands(labels, tissue_names(labels), request.options.sliding)


def check_sliding(request: RegistrationRequest) -> None:
    """Refuse borders of tissues that no fixed label stands for.

    Raises:
        InputError: there are no fixed labels, or they lack a tissue.
    """
    borders, labels = request.options.sliding, request.fixed_labels
    if borders and labels is None:
        raise InputError(
            f"the sliding border {borders[0].name} without fixed labels",
            "a label map of the fixed image that says where its sides are",
            "give fixed labels, or leave the border out",
        )
    if labels is not None:
        for border in borders:
            check_sides(labels, tissue_names(labels), border)


def slip(request: RegistrationRequest, d_mm: torch.Tensor) -> dict[str, dict[str, float]]:
    """Border → the shear along it under the elastic part, of every border that may slide."""
    labels = request.fixed_labels
    if labels is None:
        return {}
    names = tissue_names(labels)
    return {b.name: shear_at(d_mm, labels, names, b) for b in request.options.sliding}


def used_elasticity(request: RegistrationRequest) -> dict[str, list[float]]:
    """What is recorded: tissue → [λ, μ] of every tissue present, or ``everywhere``."""
    options, labels = request.options, request.fixed_labels
    if not options.tissues or labels is None:
        return {EVERYWHERE: [options.elasticity.lam, options.elasticity.mu]}
    values = {
        name: options.tissues.get(name, options.elasticity)
        for name in tissue_names(labels).values()
    }
    return {name: [value.lam, value.mu] for name, value in values.items()}


def one_setting(request: RegistrationRequest) -> Elasticity | None:
    """The (λ, μ) that hold everywhere; ``None`` where the tissues of this scan differ."""
    first, *others = (Elasticity(*value) for value in used_elasticity(request).values())
    return first if all(other == first for other in others) else None


def tissue_names(labels: LabelMap) -> dict[int, str]:
    """Label values that occur → tissue; 0 is the background unless it has a name."""
    return {
        label: labels.names.get(label, BACKGROUND if label == 0 else str(label))
        for label in labels.present()
    }
