"""Commands whose work is done by the package ``training``, which a plain installation lacks."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..errors import InputError


def training_module(name: str) -> ModuleType:
    """``training.<name>``. Named by a string: the library itself never depends on training.

    Raises:
        InputError: it, or a package that it needs, is not installed.
    """
    try:
        return import_module(f"training.{name}")
    except ModuleNotFoundError as error:
        raise InputError(
            f"the package {error.name} is missing, which this command needs",
            action='run pip install "elastic-hyperreg[train]"',
        ) from error
