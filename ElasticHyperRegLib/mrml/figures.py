"""How figures are written, the same in every shell."""

from __future__ import annotations

LEAST = 1e-4
"""A hundredth of a per cent."""


def percent(fraction: float) -> str:
    """``0.0123`` → ``1.23 %``; what is not zero is never written as if it were."""
    if fraction == 0:
        return "0 %"
    return "<0.01 %" if fraction < LEAST else f"{100 * fraction:.2f} %"
