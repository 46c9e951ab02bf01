"""The exact solver: finds the displacement that minimises (1 − Λ − Γ)·NCC + W for one pair."""

from .problem import Level, Problem, SolverOptions
from .solve import Solution, solve

__all__ = ["Level", "Problem", "Solution", "SolverOptions", "solve"]
