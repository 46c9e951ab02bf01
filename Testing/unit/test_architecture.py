"""The house rules that a reader relies on, read from the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "ElasticHyperRegLib"

# A module imports from the rows above its own and from its own room, never from beside or below.
# The longest name that fits a module is its room: `io.itk` stands before the rest of `io`.
ROOMS = (
    ("errors", "resources", "trilinear"),
    ("types",),
    ("grid", "materials", "names"),
    ("field",),
    ("energies", "similarity", "metrics"),
    ("networks",),
    ("weights",),
    ("alignment", "solver"),
    ("io.itk",),
    ("engine",),
    ("estimation",),
    ("session",),
    ("preview", "tissues", "phantom"),
    ("io",),
    ("segmentation",),
    ("mrml",),
    ("cli",),
    ("__main__",),
)
RANK = {room: rank for rank, row in enumerate(ROOMS) for room in row}

ELSEWHERE = {"training", "web", "benchmarks", "Testing", "ElasticHyperReg"}
SHELLS = {"slicer", "qt", "ctk", "vtk", "vtkmodules", "trame", "trame_slicer"}
UNSAFE = {"pickle", "dill", "joblib"}

MAX_FILE_LINES = 399
MAX_FUNCTION_LINES = 39
MAX_PARAMETERS = 6


def python_files(folder: Path) -> list[Path]:
    skipped = {"build", "dist"}
    found = [
        path
        for path in sorted(folder.rglob("*.py"))
        if not any(p.startswith(".") or p in skipped for p in path.relative_to(ROOT).parts)
    ]
    assert found, f"no Python files under {folder}"
    return found


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def place(path: Path, node: ast.AST | None = None) -> str:
    line = getattr(node, "lineno", 1)
    return f"{path.relative_to(ROOT)}:{line}"


def module_name(path: Path) -> str:
    """Dotted name below the library; an ``__init__`` bears the name of its folder."""
    parts = path.relative_to(LIBRARY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: Path, tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    """Absolute dotted name of everything imported, inside functions too."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node, f"{stem}.{alias.name}"


def room_of(dotted: str) -> str | None:
    """The room that holds a dotted name of the library; None for a name of the package itself."""
    fitting = [room for room in RANK if f"{dotted}.".startswith(f"{room}.")]
    return max(fitting, key=len, default=None)


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, source: list[str]) -> int:
    """Lines of a function's body that are neither blank nor its docstring."""
    first = node.body[0].lineno
    if ast.get_docstring(node, clean=False) is not None:
        first = (node.body[0].end_lineno or first) + 1
    return sum(bool(line.strip()) for line in source[first - 1 : node.end_lineno])


def is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether typer reads the function's parameters as command line options."""
    calls = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return any(isinstance(c, ast.Attribute) and c.attr in {"command", "callback"} for c in calls)


def test_every_module_has_a_room():
    homeless = [
        place(path)
        for path in python_files(LIBRARY)
        if module_name(path) and room_of(module_name(path)) is None
    ]
    assert homeless == []


def test_imports_run_one_way():
    against = []
    for path in python_files(LIBRARY):
        room = room_of(module_name(path))
        for node, name in imported_names(path, parse(path)):
            package, _, inner = name.partition(".")
            other = room_of(inner) if package == LIBRARY.name else None
            if room and other and other != room and RANK[other] >= RANK[room]:
                against.append(f"{place(path, node)} {room} imports {other}")
    assert against == []


def test_library_imports_no_shell():
    wrong = []
    for path in python_files(LIBRARY):
        forbidden = ELSEWHERE if room_of(module_name(path)) == "mrml" else ELSEWHERE | SHELLS
        for node, name in imported_names(path, parse(path)):
            if name.partition(".")[0] in forbidden:
                wrong.append(f"{place(path, node)} imports {name}")
    assert wrong == []


def test_nothing_is_unpickled():
    wrong = [
        f"{place(path, node)} imports {name}"
        for path in python_files(LIBRARY)
        for node, name in imported_names(path, parse(path))
        if name.partition(".")[0] in UNSAFE
    ]
    assert wrong == []


def test_importing_the_package_is_light():
    script = (
        "import sys, ElasticHyperRegLib\n"
        "heavy = {'torch', 'vtk', 'vtkmodules', 'SimpleITK', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loads {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_files_are_short():
    lengths = {place(p): len(p.read_text("utf-8").splitlines()) for p in python_files(ROOT)}
    assert {k: n for k, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_functions_are_short():
    long = []
    for path in python_files(ROOT):
        source = path.read_text(encoding="utf-8").splitlines()
        for node in functions(parse(path)):
            lines = body_lines(node, source)
            if lines > MAX_FUNCTION_LINES:
                long.append(f"{place(path, node)} {node.name}: {lines} lines")
    assert long == []


def test_functions_take_few_parameters():
    many = []
    for path in python_files(ROOT):
        for node in functions(parse(path)):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            named = [a.arg for a in given if a.arg not in {"self", "cls"}]
            if len(named) > MAX_PARAMETERS and not is_command(node):
                many.append(f"{place(path, node)} {node.name}: {len(named)} parameters")
    assert many == []


def test_library_neither_prints_nor_asserts():
    wrong = []
    for path in python_files(LIBRARY):
        shell = room_of(module_name(path)) in {"cli", "__main__"}
        for node in ast.walk(parse(path)):
            prints = isinstance(node, ast.Name) and node.id == "print" and not shell
            if prints or isinstance(node, ast.Assert):
                wrong.append(place(path, node))
    assert wrong == []


@pytest.mark.parametrize(
    ("dotted", "room"),
    [("io.itk", "io.itk"), ("io.volumes", "io"), ("grid.Grid", "grid"), ("gridlock", None)],
)
def test_room_is_the_longest_name_that_fits(dotted, room):
    assert room_of(dotted) == room
