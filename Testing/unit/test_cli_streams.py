"""Streams that are closed or unread, paths that cannot be followed, limits on what is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ElasticHyperRegLib.cli import cohort
from ElasticHyperRegLib.segmentation.folders import cache_folder, data_folder
from ElasticHyperRegLib.weights.folders import user_folder
from Testing.unit.cli_help import QUICK, refused, run
from Testing.unit.small_pair import PairOnDisk, write_pair

PROGRAM = f"{sys.executable} -m ElasticHyperRegLib"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> PairOnDisk:
    return write_pair(tmp_path_factory.mktemp("pair"))


def in_shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def register(files: PairOnDisk, out: Path) -> str:
    words = ["register", "--fixed", files.fixed, "--moving", files.moving, "--out", out, *QUICK]
    return " ".join([PROGRAM, *map(str, words)])


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shell")
@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>&-"])
def test_streams_may_be_closed(files, tmp_path, closed):
    done = in_shell(f"{register(files, tmp_path / 'out')} {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "metrics.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shell")
def test_nobody_needs_to_read_what_is_said():
    done = in_shell(f"{PROGRAM} models | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit and fallocate as Linux has them")
@pytest.mark.parametrize("blocks", [0, 10, 100])
def test_a_limit_on_what_is_written_is_one_line(files, tmp_path, blocks):
    done = in_shell(f"ulimit -f {blocks}; {register(files, tmp_path / 'out')}")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "transform.h5 cannot be written (File too large)" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--fixed", "--initial", "--out"])
def test_a_name_that_is_too_long(files, capsys, option):
    given = {"--fixed": files.fixed, "--moving": files.moving, "--out": "out", option: "x" * 300}
    line = refused(capsys, "register", *(word for pair in given.items() for word in pair))
    assert "xxx cannot be reached (File name too long); check the path" in line


def test_a_case_whose_file_may_not_be_reached(files, tmp_path, capsys, monkeypatch):
    def closed(job, title):
        raise PermissionError(13, "Permission denied", "/closed/a.nii")

    monkeypatch.setattr(cohort, "register_files", closed)
    (tmp_path / "m.csv").write_text("case,fixed,moving\na,b,c\n")
    code, _, err = run(capsys, "batch", tmp_path / "m.csv", "--out", tmp_path / "out")
    assert (code, err.count("\n")) == (2, 1)
    assert "/closed/a.nii cannot be reached" in (tmp_path / "out" / "summary.csv").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_no_space_for_what_is_printed_is_not_our_fault(files, tmp_path):
    both = in_shell(f"{register(files, tmp_path / 'both')} > /dev/full 2>&1")
    assert both.returncode == 0
    assert (tmp_path / "both" / "metrics.json").exists()
    done = in_shell(f"{register(files, tmp_path / 'out')} > /dev/full")
    assert done.returncode == 0
    assert done.stderr == (
        "elastic-hyperreg: no space left for what is printed; it is lost, files are not.\n"
    )
    assert (tmp_path / "out" / "metrics.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shell")
def test_nobody_needs_a_home():
    done = in_shell(f"HOME=/nonexistent XDG_DATA_HOME= {PROGRAM} models")
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_home_the_folder_for_temporary_files_serves(monkeypatch):
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    for name in ("MODELS", "CACHE", "HOME"):
        monkeypatch.delenv(f"ELASTIC_HYPERREG_{name}", raising=False)
    assert all(folder().is_absolute() for folder in (user_folder, cache_folder, data_folder))
