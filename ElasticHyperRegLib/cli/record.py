"""``request.json``: everything needed to repeat a run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..engine import RegistrationOptions
from ..engine.record import options_record
from ..engine.request import AUTO
from ..io.detached import voxel_files
from ..io.outputs import left_by_a_look

BLOCK = 1 << 20


def request_record(
    inputs: Mapping[str, Path],
    sums: Mapping[str, str],
    options: RegistrationOptions,
    tissues: str | None,
    out: Path,
) -> dict[str, Any]:
    """Inputs with their checksums, options, version, and the command that repeats the run.

    Args:
        inputs: option of ``register`` (``fixed``, ``moving_labels``, …) → file or folder.
        sums: their ``checksums``.
        options: what the engine was given.
        tissues: the tissue scheme, where one was given.
        out: folder of the results.
    """
    return {
        "version": __version__,
        "inputs": {
            name: {"path": str(path.absolute()), "sha256": sums[name]}
            for name, path in inputs.items()
        },
        "options": {"tissues": tissues, **options_record(options)},
        "command": _command(inputs, options, tissues, out),
    }


def checksums(inputs: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each input; of several files, as in a folder, one after the other, by name."""
    return {name: _checksum(path) for name, path in inputs.items()}


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    for file in _slices(path) if path.is_dir() else [path, *voxel_files(path)]:
        with file.open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _slices(folder: Path) -> list[Path]:
    """Files of a folder but those that a look at it leaves behind."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return [file for file in files if file.name[0] != "." and not left_by_a_look(file.name)]


def _command(
    inputs: Mapping[str, Path], options: RegistrationOptions, tissues: str | None, out: Path
) -> list[str]:
    words = ["elastic-hyperreg", "register"]
    for name, path in inputs.items():
        words += [f"--{name.replace('_', '-')}", str(path.absolute())]
    words += _elasticity_words(options)
    for border in options.sliding:
        words += ["--sliding", f"{border.one}:{border.other}={border.width_mm!r}"]
    if isinstance(options.initial, str):
        words += ["--initial", options.initial]
    if options.refine is not None:
        words += ["--refine", str(options.refine)]
    if tissues is not None and "tissues" not in inputs:
        words += ["--tissues", tissues]
    if options.similarity != AUTO:
        words += ["--similarity", options.similarity]
    words += ["--model", options.model, "--device", options.device, "--seed", str(options.seed)]
    return [*words, "--out", str(out.absolute())]


def _elasticity_words(options: RegistrationOptions) -> Iterator[str]:
    default = options.elasticity
    yield from ("--elasticity", f"{default.lam!r},{default.mu!r}")
    for name, value in options.tissues.items():
        yield from ("--elasticity", f"{name}={value.lam!r},{value.mu!r}")
