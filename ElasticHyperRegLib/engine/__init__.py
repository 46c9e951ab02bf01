"""One request type, one way to answer it: what every shell (command line, Slicer, web) calls."""

from .register import register
from .request import Progress, RegistrationOptions, RegistrationRequest, RegistrationResult

__all__ = [
    "Progress",
    "RegistrationOptions",
    "RegistrationRequest",
    "RegistrationResult",
    "register",
]
