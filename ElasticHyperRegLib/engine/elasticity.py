"""Per-tissue (λ, μ) → maps Λ, Γ painted from the fixed labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..energies import Coefficient
from ..errors import InputError
from ..types import Elasticity, LabelMap
from .request import RegistrationRequest

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
            f"λ and μ for {', '.join(tissues)} without fixed labels",
            "a label map of the fixed image that says where they are",
            "give fixed labels, or one λ,μ for everywhere",
        )
    known = {*_names(labels).values(), *labels.names.values()}
    unknown = [name for name in tissues if name not in known]
    if unknown:
        raise InputError(
            f"λ and μ for {', '.join(unknown)}",
            f"tissues of {labels.name}: {', '.join(sorted(known))}",
            "correct the name, or name the labels by a tissue scheme",
        )


def coefficients(request: RegistrationRequest) -> tuple[Coefficient, Coefficient]:
    """λ and μ for the solver: numbers, or maps (1, 1, *fixed.shape) where tissues differ."""
    default, labels = request.options.elasticity, request.fixed_labels
    if not request.options.tissues or labels is None:
        return default.lam, default.mu
    lam = torch.full_like(labels.data, default.lam, dtype=torch.float32)
    mu = torch.full_like(lam, default.mu)
    for label, name in _names(labels).items():
        value = request.options.tissues.get(name, default)
        here = labels.data == label
        lam[here], mu[here] = value.lam, value.mu
    return lam, mu


def used_elasticity(request: RegistrationRequest) -> dict[str, list[float]]:
    """What is recorded: tissue → [λ, μ] of every tissue present, or ``everywhere``."""
    options, labels = request.options, request.fixed_labels
    if not options.tissues or labels is None:
        return {EVERYWHERE: [options.elasticity.lam, options.elasticity.mu]}
    values = {
        name: options.tissues.get(name, options.elasticity) for name in _names(labels).values()
    }
    return {name: [value.lam, value.mu] for name, value in values.items()}


def _names(labels: LabelMap) -> dict[int, str]:
    """Label values that occur → tissue; 0 is the background unless it has a name."""
    return {
        label: labels.names.get(label, BACKGROUND if label == 0 else str(label))
        for label in labels.present()
    }
