"""Results appear whole under their final name, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any
from uuid import uuid4

from ..errors import InputError

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NEARLY_FULL = 1 << 20
_REMAINS_SECONDS = 24 * 3600
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
PAUSES = (0.1, 0.3, 1.0, 3.0)
_LOOKS = ("thumbs.db", "desktop.ini")
_MARK = ".partial"


def require_space(folder: Path, needed: int) -> None:
    """Refuse to start writing ``needed`` bytes where they do not fit.

    Raises:
        InputError: less space is free.
    """
    if shutil.disk_usage(folder).free < needed:
        raise _disk_full(folder, needed)


def check_name(path: str | Path) -> None:
    """Refuse a name at which SimpleITK would end the whole process.

    Raises:
        InputError: its bytes are no UTF-8, or not what the locale writes names in.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="replace").decode()
        raise InputError(f"the name {shown}", "a name in UTF-8", "rename it") from error


def left_by_a_look(name: str) -> bool:
    """Whether a file is what Finder or Explorer leave in a folder that is looked at."""
    return name == ".DS_Store" or name.startswith("._") or name.lower() in _LOOKS


def patiently(move: Callable[[Path, Path], object], here: Path, there: Path) -> None:
    """Rename, where Windows refuses it again a little later.

    There a scanner, an indexer or a viewer that has a file open keeps it from being moved.
    """
    for pause in PAUSES if sys.platform == "win32" else ():
        try:
            move(here, there)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    move(here, there)


def keep_inputs(inputs: Iterable[Path | None], results: Iterable[Path]) -> None:
    """Refuse inputs that the results would replace or remove.

    Raises:
        InputError: an input is one of ``results``.
    """
    made = {os.path.realpath(path) for path in results}
    for path in inputs:
        if path is not None and os.path.realpath(path) in made:
            raise InputError(
                f"{path}, an input that the results would replace",
                "results elsewhere",
                "choose another --out, or move the file",
            )


def reserve(path: Path, needed: int) -> None:
    """Make ``path`` a file of ``needed`` bytes, for a library that cannot bear a full disk.

    HDF5 prints pages and then crashes the process where a disk, a quota or a limit ends.

    Raises:
        OSError: there is less room.
    """
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, needed)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around the calls that write ``path``: their failures become one line.

    Raises:
        InputError: the disk is full, the folder is missing or not writable.
    """
    check_name(path)
    try:
        yield
    except (OSError, RuntimeError) as error:
        full = isinstance(error, OSError) and error.errno in FULL
        parent = path.parent
        if full or (parent.exists() and shutil.disk_usage(parent).free < _NEARLY_FULL):
            raise _disk_full(path) from error
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]
        raise InputError(
            f"{path} cannot be written ({reason})", "a folder you may write to"
        ) from error


@contextmanager
def atomic_path(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path beside ``path``, with its suffix, that takes its name on success.

    Raises:
        InputError: ``path`` exists and ``overwrite`` is false, is a folder, or its folder is
            missing or not writable.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder", "the name of a file to write")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already", action="choose another name or --overwrite")
    if not path.parent.is_dir():
        raise InputError(f"the folder {path.parent} does not exist", action="create it first")
    _check_writable(path.parent)
    # ITK knows .mha and takes .MHA for a header with its voxels elsewhere.
    name = path.name.removesuffix(path.suffix) + path.suffix.lower()
    temporary = path.with_name(f".{uuid4().hex[:8]}{_MARK}.{name}")
    with terminated_as_interrupt():
        try:
            with _full_disk_explained(path):
                yield temporary
                patiently(os.replace, temporary, path)
        except InputError as error:
            raise _final_name(error, temporary, path) from error
        finally:
            temporary.unlink(missing_ok=True)


class OutputFolder:
    """A folder of results that appears under its final name only when it is complete.

    Inside ``with OutputFolder(path, files) as folder`` the files are written to ``folder``, a
    hidden one beside the final place. Leaving normally moves it there; leaving by an exception,
    Ctrl-C or SIGTERM removes it, and a killed process leaves nothing under the final name.

    Args:
        path: final folder; its parents are made when needed.
        files: names this run may write. With ``overwrite`` exactly these are replaced or, where
            this run made none, removed; other files there are not touched.
        overwrite: allow a folder that is not empty.

    Raises:
        InputError: ``path`` is a file, is not empty, or cannot be written; the disk is full.
    """

    def __init__(self, path: str | Path, files: Iterable[str], overwrite: bool = False) -> None:
        self.path = Path(os.path.realpath(path))  # ``resolve`` fails where links form a loop
        self._files = tuple(files)
        self._overwrite = overwrite
        self._temporary = Path()
        self._cleanup = ExitStack()

    def __enter__(self) -> Path:
        anchor = self._staging_place()
        _remove_remains(anchor, self.path.name)
        self._temporary = anchor / f".{self.path.name}.{uuid4().hex[:8]}{_MARK}"
        with ExitStack() as stack:
            stack.enter_context(terminated_as_interrupt())
            stack.callback(shutil.rmtree, self._temporary, ignore_errors=True)
            with writing(self._temporary):
                self._temporary.mkdir()
            self._cleanup = stack.pop_all()
        return self._temporary

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._cleanup:
            if error is None:
                with writing(self.path):
                    self._publish()
            elif isinstance(error, OSError) and error.errno in FULL:
                raise _disk_full(self.path) from error
            elif isinstance(error, InputError):
                raise _final_name(error, self._temporary, self.path) from error

    def _staging_place(self) -> Path:
        """The nearest folder above the final one; the final one itself where it is mounted."""
        check_name(self.path)
        if self.path.is_symlink():
            raise InputError(f"{self.path} is a link to itself", "a folder", "choose another one")
        if self.path.is_dir():
            _check_writable(self.path)
            self._refuse_strangers()
            parent = self.path.parent
            one_disk = parent.stat().st_dev == self.path.stat().st_dev
            return parent if one_disk and os.access(parent, os.W_OK | os.X_OK) else self.path
        anchor = next(p for p in (self.path, *self.path.parents) if p.exists())
        if not anchor.is_dir():
            raise InputError(f"{anchor} is a file", "a folder", "choose another folder")
        _check_writable(anchor)
        return anchor

    def _refuse_strangers(self) -> None:
        items = (item for item in self.path.iterdir() if not left_by_a_look(item.name))
        if any(item.suffix != _MARK for item in items) and not self._overwrite:
            raise InputError(
                f"{self.path} is not empty", action="choose another folder or --overwrite"
            )

    def _publish(self) -> None:
        """Move the results to their place; what fails there leaves the old ones as they were."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            patiently(os.rename, self._temporary, self.path)
            return
        self._refuse_strangers()  # another run may have been faster
        made = sorted((item.name for item in self._temporary.iterdir()), key=self._rank)
        # The last of the files tells that a result is whole: gone first, there again last.
        old = sorted(filter(self._stands, self._files), key=self._rank, reverse=True)
        aside = self._temporary / "before"
        aside.mkdir()
        with ExitStack() as back:
            for names, here, there in ((old, self.path, aside), (made, self._temporary, self.path)):
                for name in names:
                    patiently(os.replace, here / name, there / name)
                    back.callback(os.replace, there / name, here / name)
            back.pop_all()

    def _stands(self, name: str) -> bool:
        return (self.path / name).exists()

    def _rank(self, name: str) -> tuple[bool, str]:
        return name == self._files[-1], name


def _final_name(error: InputError, temporary: Path, path: Path) -> InputError:
    """``error`` about ``path``, which is what the user knows."""
    return InputError(str(error).replace(str(temporary), str(path)))


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder} is not writable", "a folder you may write to")


def _remove_remains(folder: Path, name: str) -> None:
    """Remove what runs killed more than a day ago left of the output ``name``."""
    for remains in folder.glob(f".{name}.????????{_MARK}"):
        with suppress(OSError):
            if time.time() - remains.stat().st_mtime > _REMAINS_SECONDS:
                shutil.rmtree(remains)


@contextmanager
def _full_disk_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise _disk_full(path) from error
        raise


def _disk_full(path: Path, needed: int | None = None) -> InputError:
    places = (path.absolute(), *path.absolute().parents)
    place = next(p for p in places if p.exists() and _MARK not in str(p))
    free = shutil.disk_usage(place).free / 2**20
    wanted = f", {needed / 2**20:.0f} MiB needed" if needed else ""
    return InputError(
        f"no space left in {place}: {free:.0f} MiB free{wanted}",
        action="free some space or choose another output folder",
    )


@contextmanager
def terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does, so that what is partial is removed.

    So does SIGHUP, of a terminal or connection that is closed. Only in the main thread, where
    Python allows it, and only where nobody else handles or ignores it (nohup).
    """

    def interrupt(number: int, frame: FrameType | None) -> Any:
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    ours = [number for number in ENDING if main and signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
