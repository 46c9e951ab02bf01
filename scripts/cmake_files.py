"""Lists for CMake every file that the installed 3D Slicer extension needs.

``python -m scripts.cmake_files``
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULE = ROOT / "ElasticHyperReg"
LIBRARY = "ElasticHyperRegLib"
HEADER = "# Written by scripts/cmake_files.py; a test compares it with the files.\n"


def lists() -> dict[Path, str]:
    """CMake file → what it should hold."""
    return {
        MODULE / "ModuleFiles.cmake": HEADER
        + _list("MODULE_PYTHON_SCRIPTS", MODULE, _files(MODULE, "*.py"))
        + _list("MODULE_PYTHON_RESOURCES", MODULE, _files(MODULE / "Resources", "*")),
        MODULE / "LibraryFiles.cmake": HEADER
        + _list("LIBRARY_PYTHON_SCRIPTS", ROOT, _files(ROOT / LIBRARY, "*.py"))
        + _list("LIBRARY_RESOURCES", ROOT, _resources()),
    }


def _resources() -> list[Path]:
    """What the library reads beside itself, and its mark that it is typed."""
    folder = ROOT / "Resources"
    drawings = folder / "Icons"
    found = [path for path in _files(folder, "*") if drawings not in path.parents]
    return [ROOT / LIBRARY / "py.typed", *found]


def _files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return [path for path in found if "__pycache__" not in path.parts]


def _list(name: str, base: Path, files: list[Path]) -> str:
    lines = "".join(f"  {path.relative_to(base).as_posix()}\n" for path in files)
    return f"\nset({name}\n{lines}  )\n"


def main() -> None:
    """Write the lists."""
    for path, text in lists().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
