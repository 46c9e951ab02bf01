"""The live session: one pair, prepared once, that answers every new λ and μ."""

from .answer import Answer, SessionInputs
from .session import Session
from .values import Values

__all__ = ["Answer", "Session", "SessionInputs", "Values"]
