"""The exact solver: finds the displacement that minimises (1 − Λ − Γ)·NCC + W for one pair."""

from .begin import is_far_off
from .objective import matching_grid
from .problem import Level, Problem, SolverOptions, field_grid
from .solve import Solution, solve

__all__ = [
    "Level",
    "Problem",
    "Solution",
    "SolverOptions",
    "field_grid",
    "is_far_off",
    "matching_grid",
    "solve",
]
