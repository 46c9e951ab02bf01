"""A slider for λ or μ on which equal steps have about equal effects.

What a weight w does depends on w against the weight 1 − λ − μ that is left to the similarity of
the images, and elastic terms are some hundred times smaller than similarity: effects crowd near
λ + μ = 1. A slider that runs up to ``most``, 1 less the other weight, is therefore even in the
logarithm of the one against the other, with v = w / most and a = 0.01 to let it end:

    p = ½ + log((v + a) / (1 − v + a)) / (2 L),   L = log((1 + a) / a).
"""

from __future__ import annotations

import math

from ..errors import InputError

SOFTENING = 0.01
RANGE = math.log((1 + SOFTENING) / SOFTENING)
DIGITS = 9
"""Positions are rounded to so many digits: a slider of whole steps comes back where it was."""


def slider_to_value(position: float, most: float = 1.0) -> float:
    """Slider position in [0, 1] → weight in [0, ``most``]; both ends are exact.

    Raises:
        InputError: the position or ``most`` lies outside [0, 1].
    """
    _check("slider position", position, 1.0)
    _check("the largest weight", most, 1.0)
    if position in (0, 1):
        return most * position
    ratio = math.exp((2 * position - 1) * RANGE)
    part = (ratio * (1 + SOFTENING) - SOFTENING) / (1 + ratio)
    return most * min(1.0, max(0.0, part))


def value_to_slider(value: float, most: float = 1.0) -> float:
    """Weight in [0, ``most``] → slider position in [0, 1], the inverse of ``slider_to_value``.

    Raises:
        InputError: the weight lies outside [0, ``most``], or ``most`` outside [0, 1].
    """
    _check("the largest weight", most, 1.0)
    _check("λ or μ", value, most)
    part = min(1.0, value / most) if most else 0.0
    ratio = (part + SOFTENING) / (1 - part + SOFTENING)
    return round(0.5 + math.log(ratio) / (2 * RANGE), DIGITS)


def _check(name: str, value: float, most: float) -> None:
    if not 0 <= value <= most + 10**-DIGITS:
        raise InputError(f"{name} {value:g}", f"a number from 0 to {most:g}")
