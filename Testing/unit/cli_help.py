"""Running the command line inside the test, and looking at what is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from ElasticHyperRegLib.cli import main

QUICK = ("--initial", "none", "--refine", "2", "--device", "cpu")


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    capsys.readouterr()
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line with which a command refuses its input; exit code 2."""
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("elastic-hyperreg: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err


def everything_in(folder: Path) -> dict[str, bytes]:
    """Files below ``folder`` with their content, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
