"""What a record of a run keeps of its options."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .elasticity import EVERYWHERE
from .request import RegistrationOptions


def options_record(options: RegistrationOptions) -> dict[str, Any]:
    """The options in plain values: all of them, λ and μ by tissue and ``everywhere`` else."""
    values = {EVERYWHERE: options.elasticity, **options.tissues}
    return {
        "elasticity": {name: [value.lam, value.mu] for name, value in values.items()},
        "sliding": [asdict(border) for border in options.sliding],
        "initial": options.initial,
        "model": options.model,
        "refine": options.refine,
        "device": options.device,
        "seed": options.seed,
        "similarity": options.similarity,
    }
