"""λ and μ as a caller may write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real

from ..engine.elasticity import EVERYWHERE
from ..errors import InputError
from ..estimation.settings import Given, Setting, around
from ..types import Elasticity

Values = Setting | Given | Mapping[str, Given]
"""One (λ, μ) for everywhere, or by tissue; ``everywhere`` stands for the tissues not named."""

NEIGHBOUR = 0.1
"""How far neighbours of a setting lie from it."""


def setting(values: Values, default: Elasticity, known: tuple[str, ...]) -> Setting:
    """What ``values`` say.

    Args:
        values: one (λ, μ), or (λ, μ) by tissue.
        default: of tissues that they do not name.
        known: tissues that they may name, besides ``everywhere``.

    Raises:
        InputError: an unknown tissue, no pair of numbers, or a (λ, μ) out of range.
    """
    try:
        chosen = Setting.read(values, default)
    except TypeError as error:
        raise InputError(
            f"the elasticity {values!r}", "two numbers λ, μ, or such by tissue"
        ) from error
    unknown = [name for name in chosen.tissues if name not in known]
    if unknown:
        raise InputError(
            f"λ and μ for {', '.join(map(str, unknown))}",
            f"{EVERYWHERE} or tissues of the fixed labels: {', '.join(known) or 'there are none'}",
            "correct the name, or give labels that have it",
        )
    return chosen


def listed(values: Sequence[Values] | Values) -> list[Values]:
    """Several settings, or one, as a list of them."""
    if isinstance(values, (Setting, Elasticity, Mapping)):
        return [values]
    if not isinstance(values, Iterable):
        raise InputError(f"the settings {values!r}", "two numbers λ, μ, or several such")
    several = list(values)
    if len(several) == 2 and all(isinstance(number, Real) for number in several):
        return [(float(several[0]), float(several[1]))]  # type: ignore[arg-type]  # told just now
    return several  # type: ignore[return-value]  # what else there may be is refused later


def with_neighbours(centre: Setting, tissues: tuple[str, ...]) -> list[Setting]:
    """A setting, and those that have one tissue's λ or μ moved; without tissues, everybody's."""
    moved = [
        centre.with_tissue(name, value)
        for name in tissues or (EVERYWHERE,)
        for value in around(centre.of(name), NEIGHBOUR)
    ]
    return [centre, *moved]
