"""ElasticHyperReg: registration in which every tissue deforms like itself.

Importing the package loads neither torch nor VTK; a name is loaded when it is first used.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what ``__getattr__`` gives, so that its types are known
    from .engine import RegistrationOptions as RegistrationOptions
    from .engine import RegistrationRequest as RegistrationRequest
    from .engine import RegistrationResult as RegistrationResult
    from .engine.register import register as register
    from .errors import InputError as InputError
    from .estimation import Estimate as Estimate
    from .io import read_image as read_image
    from .io import read_labels as read_labels
    from .session import Session as Session
    from .session import SessionInputs as SessionInputs
    from .types import Displacement as Displacement
    from .types import Elasticity as Elasticity
    from .types import Grid as Grid
    from .types import Image as Image
    from .types import LabelMap as LabelMap

__version__ = "0.1.0"

# On file systems without locks HDF5 would write no transform. Read when SimpleITK is loaded.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
# GNU's OpenMP has torch's threads wait awake for 3 ms: where other programs want the cores, two
# threads are up to thirty times slower than one. Some 0.1 ms cost little either way. Read when
# torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

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
    "SessionInputs": "session",
    "read_image": "io",
    "read_labels": "io",
    "register": "engine",
}

__all__ = ["__version__", *sorted(_HOMES)]

if not TYPE_CHECKING:  # any name would be allowed

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
