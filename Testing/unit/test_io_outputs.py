"""Results appear whole or not at all, also when the disk is full or the process is killed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.io import OutputFolder, atomic_path, outputs
from ElasticHyperRegLib.io.outputs import require_space, writing

FILES = ("result.txt", "labels.txt")
ROOT = Path(__file__).resolve().parents[2]


def fill(folder: Path, text: str = "new", names: tuple[str, ...] = FILES[:1]) -> None:
    for name in names:
        (folder / name).write_text(text)


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", ["out", "a/b/out"])
def test_results_appear_when_all_are_written(tmp_path, name):
    with OutputFolder(tmp_path / name, FILES) as folder:
        fill(folder)
        assert not (tmp_path / name).exists()
    assert tree(tmp_path) == {f"{name}/result.txt": "new"}


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    with OutputFolder(tmp_path / "out", FILES) as folder:
        fill(folder)
    assert tree(tmp_path) == {"out/result.txt": "new"}


def test_a_new_folder_may_be_entered_by_all_that_may_enter_its_siblings(tmp_path):
    (tmp_path / "sibling").mkdir()
    with OutputFolder(tmp_path / "out", FILES) as folder:
        fill(folder)
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "sibling").stat().st_mode


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("name", ["out", "a/b/out"])
def test_a_failure_leaves_nothing(tmp_path, error, name):
    with pytest.raises(type(error)), OutputFolder(tmp_path / name, FILES) as folder:
        fill(folder)
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_not_touched(tmp_path):
    fill(tmp_path, "old")
    with pytest.raises(InputError, match="is not empty"), OutputFolder(tmp_path, FILES):
        pytest.fail("the body must not run")
    assert tree(tmp_path) == {"result.txt": "old"}


def test_of_two_runs_the_first_to_finish_wins(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="is not empty"), OutputFolder(out, FILES) as slow:
        fill(slow, "slow")
        with OutputFolder(out, FILES) as fast:
            fill(fast, "fast")
    assert tree(tmp_path) == {"out/result.txt": "fast"}


def test_overwriting_replaces_our_files_and_no_others(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    fill(out, "old", (*FILES, "thesis.txt"))
    with OutputFolder(out, FILES, overwrite=True) as folder:
        fill(folder)
        assert tree(out)["result.txt"] == "old"
    assert tree(tmp_path) == {"out/result.txt": "new", "out/thesis.txt": "old"}


def test_a_failed_overwrite_keeps_the_old_results(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    fill(out, "old", FILES)
    with pytest.raises(ValueError, match="x"), OutputFolder(out, FILES, overwrite=True) as folder:
        fill(folder)
        raise ValueError("x")
    assert tree(tmp_path) == {"out/result.txt": "old", "out/labels.txt": "old"}


def test_a_file_is_no_output_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    for path in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(InputError, match="is a file"), OutputFolder(path, FILES, True):
            pytest.fail("the body must not run")
    assert tree(tmp_path) == {"out": "mine"}


def test_a_link_to_itself_is_no_output_folder(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match="link to itself"), OutputFolder(tmp_path / "loop", FILES):
        pytest.fail("the body must not run")


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="is not writable"), OutputFolder(tmp_path / "o", FILES):
        pytest.fail("the body must not run")
    with pytest.raises(InputError, match="is not writable"), atomic_path(tmp_path / "o"):
        pytest.fail("the body must not run")


def test_a_mounted_folder_is_staged_inside_itself(tmp_path, monkeypatch):
    """Its parent may not be writable, and lies on another disk."""
    out = tmp_path / "mounted"
    out.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) == out)
    with OutputFolder(out, FILES) as folder:
        assert folder.parent == out
        fill(folder)
    assert tree(tmp_path) == {"mounted/result.txt": "new"}


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_explained_and_leaves_nothing(tmp_path):
    with (
        pytest.raises(InputError, match=r"no space left .* MiB free; free some space"),
        OutputFolder(tmp_path / "out", FILES) as folder,
    ):
        fill(folder)
        full_disk()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_really_full_device_is_explained():
    with (
        pytest.raises(InputError, match="no space left"),
        writing(Path("/dev/full")),
        open("/dev/full", "w") as file,
    ):
        file.write("x" * 100_000)


def test_too_little_space_is_said_beforehand(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 5 << 20))
    require_space(tmp_path, 5 << 20)
    with pytest.raises(InputError, match="5 MiB free, 80 MiB needed"):
        require_space(tmp_path, 80 << 20)


def test_itk_failing_on_a_full_disk_is_a_full_disk(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 100))
    with pytest.raises(InputError, match="no space left"), writing(tmp_path / "a.h5"):
        raise RuntimeError("H5Dwrite failed")


def test_remains_of_killed_runs_are_removed_after_a_day(tmp_path):
    old, young, other = (
        tmp_path / name for name in (".out.0123abcd.partial", ".out.4567cdef.partial", "out2")
    )
    for folder in (old, young, other):
        folder.mkdir()
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    with OutputFolder(tmp_path / "out", FILES) as folder:
        fill(folder)
    assert not old.exists()
    assert young.exists()
    assert other.exists()


# The package of `outputs` is entered by the back door: its __init__ would load torch and ITK.
SCRIPT = """
import sys, time, types
sys.path.insert(0, {root!r})
package = sys.modules["ElasticHyperRegLib.io"] = types.ModuleType("ElasticHyperRegLib.io")
package.__path__ = [{root!r} + "/ElasticHyperRegLib/io"]
from ElasticHyperRegLib.io.outputs import OutputFolder
with OutputFolder({out!r}, ["result.txt"]) as folder:
    (folder / "result.txt").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_process_leaves_nothing_under_the_final_name(tmp_path, how):
    out = tmp_path / "out"
    script = SCRIPT.format(root=str(ROOT), out=str(out))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(how)
        process.communicate(timeout=20)
    assert process.returncode != 0
    assert not out.exists()
    if how is not signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []


def test_the_host_keeps_its_signal_handler(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with OutputFolder(tmp_path / "out", FILES) as folder:
        fill(folder)
    with atomic_path(tmp_path / "a.txt") as path:
        path.write_text("x")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_file_appears_when_it_is_written(tmp_path):
    with atomic_path(tmp_path / "a.nii.gz") as path:
        assert path.name.endswith(".nii.gz")
        path.write_text("x")
        assert not (tmp_path / "a.nii.gz").exists()
    assert tree(tmp_path) == {"a.nii.gz": "x"}


def test_a_file_that_fails_leaves_the_old_one(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(InputError, match="exists already"), atomic_path(tmp_path / "a.csv"):
        pytest.fail("the body must not run")
    with (
        pytest.raises(InputError, match="no space left"),
        atomic_path(tmp_path / "a.csv", overwrite=True) as path,
    ):
        path.write_text("half")
        full_disk()
    assert tree(tmp_path) == {"a.csv": "old"}
    with atomic_path(tmp_path / "a.csv", overwrite=True) as path:
        path.write_text("new")
    assert tree(tmp_path) == {"a.csv": "new"}


def test_a_file_needs_a_folder_and_a_name(tmp_path):
    with pytest.raises(InputError, match="does not exist"), atomic_path(tmp_path / "x" / "a.csv"):
        pytest.fail("the body must not run")
    with pytest.raises(InputError, match="is a folder"), atomic_path(tmp_path, overwrite=True):
        pytest.fail("the body must not run")


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
@pytest.mark.parametrize("name", ["\udcff", "\udcff/out"])
def test_results_need_a_name_that_is_text(tmp_path, name):
    with pytest.raises(InputError, match="a name in UTF-8"), OutputFolder(tmp_path / name, FILES):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_is_at_fault_goes_by_its_final_name(tmp_path):
    for out in (OutputFolder(tmp_path / "out", FILES), atomic_path(tmp_path / "out")):
        with pytest.raises(InputError) as caught, out as temporary:
            raise InputError(str(temporary), "NRRD")
        assert str(caught.value) == f"{tmp_path / 'out'}; expected NRRD."
    assert list(tmp_path.iterdir()) == []


def test_windows_is_asked_again_while_a_file_is_open(tmp_path, monkeypatch):
    tries: list[Path] = []

    def refused(here: Path, there: Path) -> None:
        tries.append(here)
        if len(tries) < 3:
            raise PermissionError(13, "Access is denied", str(here))
        here.rename(there)

    (tmp_path / "a").write_text("result")
    monkeypatch.setattr(outputs, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(sys, "platform", "win32")
    outputs.patiently(refused, tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "result"
    tries.clear()
    monkeypatch.setattr(sys, "platform", "linux")  # where that is no matter of time
    with pytest.raises(PermissionError):
        outputs.patiently(refused, tmp_path / "b", tmp_path / "c")


@pytest.mark.parametrize("held", ["one", "two", "last"])
def test_old_results_come_back_where_one_cannot_be_replaced(tmp_path, monkeypatch, held):
    files = ("one", "two", "last")
    place = tmp_path / "out"
    with OutputFolder(place, files) as folder:
        for name in files:
            (folder / name).write_text("old")
    move = os.replace

    def refused(here: Path, there: Path) -> None:
        if here == place / held:
            raise PermissionError(13, "Access is denied", str(here))
        move(here, there)

    monkeypatch.setattr(os, "replace", refused)
    with (
        pytest.raises(InputError, match="cannot be written"),
        OutputFolder(place, files, overwrite=True) as folder,
    ):
        for name in files:
            (folder / name).write_text("new")
    assert {path.name: path.read_text() for path in place.iterdir()} == dict.fromkeys(files, "old")
    assert list(tmp_path.iterdir()) == [place]


def test_what_a_look_at_a_folder_leaves_is_no_stranger(tmp_path):
    (tmp_path / "out").mkdir()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._x"):
        (tmp_path / "out" / name).write_bytes(b"icons")
    with OutputFolder(tmp_path / "out", ("a",)) as folder:
        (folder / "a").write_text("result")
    assert (tmp_path / "out" / "a").read_text() == "result"
