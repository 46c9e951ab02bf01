"""ElasticHyperReg: registration in which every tissue deforms like itself.

Importing the package loads neither torch nor VTK; a name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Displacement": "types",
    "Elasticity": "types",
    "Estimate": "estimation",
    "Grid": "types",
    "Image": "types",
    "InputError": "errors",
    "LabelMap": "types",
    "RegistrationOptions": "engine",
    "RegistrationRequest": "engine",
    "RegistrationResult": "engine",
    "Session": "session",
    "read_image": "io",
    "read_labels": "io",
    "register": "engine",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
