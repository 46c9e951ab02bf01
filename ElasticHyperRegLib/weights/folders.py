"""Where models lie: the user's folder first, then the package's own."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from ..errors import InputError
from ..resources import home_folder, resource_folder
from .card import CARD_FILE, ModelCard, read_card

_LOG = logging.getLogger(__name__)


def user_folder() -> Path:
    """``$ELASTIC_HYPERREG_MODELS``, else the folder that the platform keeps for such data."""
    chosen = os.environ.get("ELASTIC_HYPERREG_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home_folder() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home_folder() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home_folder() / ".local" / "share")
    return base / "elastic-hyperreg" / "models"


def packaged_folder() -> Path:
    """``Resources/Models``: of the package."""
    return resource_folder("Models")


def is_model_name(text: str) -> bool:
    """Whether it is a name, as no ``/`` is in it, rather than the path of a folder."""
    return Path(text).name == text


def find_model(name_or_folder: str | Path) -> Path:
    """Folder of a model, by its name or by its path; an installed model hides a folder here.

    Raises:
        InputError: there is none; the message names those there are.
    """
    given = Path(name_or_folder)
    roots = (user_folder(), packaged_folder())
    installed = [root / given for root in roots] if is_model_name(str(name_or_folder)) else []
    for folder in (*installed, given):
        if (folder / CARD_FILE).is_file():
            return folder
    names = sorted({folder.name for root in roots for folder in _model_folders(root)})
    raise InputError(
        f"no model {name_or_folder}",
        f"a folder with a {CARD_FILE}, or one of: {', '.join(names) or '(none is installed)'}",
        f"put its folder into {roots[0]}",
    )


def model_reference(text: str) -> str:
    """The name of an installed model, the absolute path of another one, ``text`` of none."""
    try:
        folder = find_model(text)
    except InputError:
        return text
    installed = folder.parent in (user_folder(), packaged_folder())
    return folder.name if installed else str(folder.resolve())


def list_models() -> list[ModelCard]:
    """Cards of the installed models by name; the user's hide packaged ones of the same name.

    A broken card is left out with a warning in the log: one bad download hides no other model.
    """
    cards: dict[str, ModelCard] = {}
    for root in (packaged_folder(), user_folder()):
        for folder in _model_folders(root):
            try:
                cards[folder.name] = read_card(folder)
            except InputError as error:
                _LOG.warning("%s", error)
    return [cards[name] for name in sorted(cards)]


def _model_folders(root: Path) -> list[Path]:
    return [path.parent for path in sorted(root.glob(f"*/{CARD_FILE}"))]
