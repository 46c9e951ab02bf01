"""Python packages that 3D Slicer does not bring: found, and installed on the user's consent."""

from __future__ import annotations

import importlib
import logging
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import slicer
import slicer.util
from slicer.i18n import tr as _

MODULE = "ElasticHyperReg"
TORCH = ">=2.4"
REQUIREMENTS = Path(__file__).resolve().parents[1] / "Resources" / "requirements.txt"


class Installation:
    """What must be there before anything can be registered.

    torch comes from the PyTorch extension, which chooses the build for the machine's GPU; the
    rest of ``requirements.txt`` comes from the Python package index. Nothing is imported to see
    whether it is there.

    Args:
        requirements: the file, one package a line.
    """

    def __init__(self, requirements: str | Path = REQUIREMENTS) -> None:
        lines = Path(requirements).read_text(encoding="utf-8").splitlines()
        self.requirements = [line for line in map(str.strip, lines) if line and line[0] != "#"]

    def missing(self) -> list[str]:
        """Requirements that are not met, torch first."""
        importlib.invalidate_caches()
        return [line for line in (f"torch{TORCH}", *self.requirements) if not _isMet(line)]

    def description(self) -> str:
        """What is missing and what that means; empty where nothing is."""
        missing = self.missing()
        if not missing:
            return ""
        return _(
            "To register, {names} must be installed. Until then saved results can be looked at."
        ).format(names=", ".join(_name(line) for line in missing))

    def obstacle(self) -> str:
        """One line for scripts: what is missing, and what to do; empty where nothing is."""
        missing = self.missing()
        if not missing:
            return ""
        return (
            f"the Python packages {', '.join(missing)} are missing in 3D Slicer; "
            "open the module ElasticHyperReg and press Install."
        )

    def install(self) -> bool:
        """Install what is missing, each part with the user's consent; whether all is there."""
        missing = self.missing()
        torchMissing = [line for line in missing if _name(line) == "torch"]
        others = [line for line in missing if line not in torchMissing]
        if torchMissing and not _installTorch():
            return False
        if others and not _installOthers(others):
            return False
        return not self.missing()


def _name(requirement: str) -> str:
    return requirement.partition(">=")[0].strip()


def _isMet(requirement: str) -> bool:
    name, _sign, least = requirement.partition(">=")
    try:
        found = version(name.strip())
    except PackageNotFoundError:
        return False
    return _numbers(found) >= _numbers(least)


def _numbers(text: str) -> tuple[int, ...]:
    """1.26.4+cpu → (1, 26, 4)."""
    parts = text.strip().partition("+")[0].split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _installTorch() -> bool:
    try:
        import PyTorchUtils
    except ImportError:
        slicer.util.errorDisplay(
            _(
                "PyTorch is installed by the extension “PyTorch”, which is missing. Install it in "
                "the Extensions Manager, restart 3D Slicer and try again."
            ),
            windowTitle=MODULE,
        )
        return False
    try:
        logic = PyTorchUtils.PyTorchUtilsLogic()
        return logic.installTorch(askConfirmation=True, torchVersionRequirement=TORCH) is not None
    except Exception as error:
        return _failed(_("PyTorch could not be installed."), error)


def _installOthers(requirements: list[str]) -> bool:
    """With ``slicer.packaging`` of 3D Slicer 5.11 and newer, which asks by itself, else by hand."""
    try:
        packaging = importlib.import_module("slicer.packaging")
    except ImportError:
        packaging = None
    try:
        if packaging is not None:
            return _ensured(packaging, requirements)
        names = "\n".join(requirements)
        question = _("These Python packages will be downloaded and installed:\n\n{names}")
        if not slicer.util.confirmOkCancelDisplay(question.format(names=names), MODULE):
            return False
        slicer.util.pip_install(requirements)
        return True
    except Exception as error:
        return _failed(_("The Python packages were not installed."), error)


def _ensured(packaging: ModuleType, requirements: list[str]) -> bool:
    try:
        packaging.pip_ensure(requirements, requester=MODULE)
    except RuntimeError:
        return False  # the user declined; what is missing stands in the panel
    return True


def _failed(message: str, error: Exception) -> bool:
    logging.exception(message)
    slicer.util.errorDisplay(f"{message} {error}", windowTitle=MODULE)
    return False
