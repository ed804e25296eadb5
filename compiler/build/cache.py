"""Files by content: a key names what a file was made from, its name carries what it is made of.

An entry is one file, `<key><digest>.so` (or with another suffix: what kind of file it is), that appears by one rename:
several processes may fill a cache at once, and a file that is not what its name says (truncated, say) is removed and
made again. The least recently used entries go when the cache grows above its cap.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from ...runtime.errors import WeftError

CAP = 1 << 30  # bytes
TRIES = 3  # where the folder is emptied meanwhile
SUFFIX = ".so"
DIGITS = 32  # of the digest in a name
DAY = 24 * 3600.0
NOTE = "sizes"  # the file that says what the entries take
MANY = 2000  # lines of it
ENTRIES = re.compile(r"[0-9a-f]{2}")  # names of folders, the first two digits of keys
ENTRY = re.compile(r"[0-9a-f]{32,}\.[a-z]+")
LEFT = "failed"
WORK, REFUSED = "weft-tmp-", "weft-failed-"  # how folders begin: one that is being filled; what a compiler refused


def default_directory() -> Path:
    """The platform's place for files that can be made again."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        named = os.environ.get("XDG_CACHE_HOME", "")
        base = named if os.path.isabs(named) else Path.home() / ".cache"
    return Path(base) / "weft"


def open_cache(directory: str | os.PathLike = "", cap: int = CAP) -> Cache:
    """The cache in `directory` (the platform's when empty); where that cannot be used, a private one."""
    path, why = prepared(directory)
    if why:
        return Cache(_private(str(directory or "of the platform"), why), cap, private=True)
    return Cache(path, cap)


def prepared(directory: str | os.PathLike) -> tuple[Path, str]:
    """The folder of the cache in `directory`, made where there is none, and why it cannot be used, "" where it can."""
    path = Path(directory or "~/.cache/weft")
    try:
        path = path.expanduser() if directory else default_directory()
        path = Path(os.path.abspath(path))  # a "-" that it begins with is no option of the compiler
        _prepare(path)
    except (OSError, RuntimeError, UnicodeError) as e:
        return path, str(e)
    return path, ""


def _prepare(path: Path) -> None:
    """Makes the directory, ours alone. One that is there is left as it is, and used if nobody else can write to it:
    who can, can run code as us. What is put into it is ours alone in any case."""
    os.fspath(path).encode()  # libraries are loaded by names in UTF-8
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except FileExistsError:
        what = f"a link to {os.readlink(path)}, which is no folder" if path.is_symlink() else "a file, not a folder"
        raise NotADirectoryError(f"{path} is {what}") from None
    info = path.stat()
    if hasattr(os, "getuid"):
        if info.st_uid != os.getuid():
            raise PermissionError(f"{path} belongs to another user")
        if stat.S_IMODE(info.st_mode) & 0o022:
            raise PermissionError(f"others may write to {path}, and so run code as you: chmod go-w {path}")
    with tempfile.TemporaryFile(dir=path):
        pass


_elsewhere: dict[str, tuple[Path, int]] = {}  # in place of a folder that cannot be used: a private one, its user


def _private(directory: str, why: str) -> Path:
    """A folder of this process's own; the same one for as long as it is there."""
    with contextlib.suppress(OSError, KeyError):
        path, user = _elsewhere[directory]
        if path.lstat().st_uid == user:  # a forked child's goes with its parent, and somebody else may take the name
            return path
    advice = "Name a folder with room that you may write to with WEFT_CACHE_DIR or weft.config.cache_dir"
    try:
        path, owner = Path(tempfile.mkdtemp(prefix="weft-")), os.getpid()
        again = directory in _elsewhere
        _elsewhere[directory] = path, path.stat().st_uid
    except OSError as e:
        raise WeftError(
            f"there is no place for compiled programs: the cache {directory} cannot be used ({why}), nor a folder for "
            f"temporary files ({e}). {advice}"
        ) from e

    def remove() -> None:
        if os.getpid() == owner:  # a forked child leaves it to its parent
            shutil.rmtree(path, ignore_errors=True)

    atexit.register(remove)
    if not again:
        warnings.warn(
            f"the cache of compiled programs cannot be used ({why}); programs are compiled anew in every process. "
            f"{advice}",
            stacklevel=2,
        )
    return path


class Cache:
    def __init__(self, directory: Path, cap: int = CAP, private: bool = False):
        self.directory, self.cap = directory, cap
        self.private = private  # of this process alone: where there is no room, there is none anywhere

    def fetch(self, key: str, make: Callable[[Path], object], suffix: str = SUFFIX) -> Path:
        """The file of `key`; where there is none, or a damaged one, `make(path)` writes it first: elsewhere, with a
        warning, if there is no room here."""
        try:
            for _ in range(TRIES):
                found = self.find(key, suffix) or self._add(key, make, suffix)
                if found is not None:
                    return found
            raise FileNotFoundError(errno.ENOENT, "it is emptied again and again")
        except OSError as e:
            if self.private:
                raise
            elsewhere = _private(str(self.directory), f"{self.directory}: {e.strerror or e}")
            return Cache(elsewhere, self.cap, private=True).fetch(key, make, suffix)

    @staticmethod
    def key(path: Path) -> str:
        """The key of an entry's file."""
        return path.parent.name + path.stem[:-DIGITS]

    def find(self, key: str, suffix: str = SUFFIX) -> Path | None:
        """The file of `key` if it is whole."""
        folder = self.directory / key[:2]
        try:
            _secure(folder)
        except OSError:  # there is none, or it stays as it is
            return None
        for path in self._entries(folder, key[2:], suffix):
            with contextlib.suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode) and path.stem[len(key) - 2 :] == _digest(path):
                    os.utime(path)
                    return path
                _remove(path)
        return None

    def _add(self, key: str, make: Callable[[Path], object], suffix: str) -> Path | None:
        """None where somebody removed the folder that it was made in: `weft cache clear`, `rm -r`."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=WORK, dir=self.directory, ignore_cleanup_errors=True) as work:
            made = Path(work) / f"weft{suffix}"
            try:
                make(made)
                target = self.directory / key[:2] / (key[2:] + _digest(made) + suffix)
                with contextlib.suppress(FileNotFoundError):
                    _secure(target.parent)
                target.parent.mkdir(exist_ok=True, mode=0o700)
                size = made.stat().st_size
                os.replace(made, target)
            except (OSError, WeftError):
                if Path(work).is_dir():
                    raise
                return None
        if self._is_due(size):
            self.shrink(keep=target)
        return target

    def _is_due(self, size: int) -> bool:
        """Notes that so many bytes were added; whether the entries have to be looked through: where they may have
        passed the cap since that was done, or a day later. To look at thousands takes as long as to compile one."""
        note = self.directory / NOTE
        try:
            with open(note, "a") as f:
                f.write(f"{size}\n")
            counted, *added = map(float, note.read_text().split())
        except (OSError, ValueError):
            return True
        age = time.time() - counted
        return sum(added) > self.cap or not 0 <= age < DAY or len(added) > MANY

    @staticmethod
    def _entries(folder: Path, prefix: str = "", suffix: str = "") -> Iterator[Path]:
        with contextlib.suppress(OSError), os.scandir(folder) as found:
            for entry in found:
                if entry.name.startswith(prefix) and entry.name.endswith(suffix):
                    yield Path(entry.path)

    def shrink(self, keep: Path | None = None) -> None:
        """Removes the entries used longest ago until the cache is well below its cap, and what crashes left behind;
        nothing else that somebody may keep in the folder."""
        entries = []
        for kind, path in self._kept():
            with contextlib.suppress(OSError):  # what another process has just removed
                info = path.stat()
                if kind != LEFT:
                    entries.append((info.st_mtime_ns, info.st_size, path))
                elif info.st_mtime < time.time() - DAY:
                    shutil.rmtree(path, ignore_errors=True)
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries) if total > self.cap else ():
            if total <= self.cap * 3 // 4:
                break
            if path != keep:
                with contextlib.suppress(OSError):
                    path.unlink()
                total -= size
        self._note(total)

    def _note(self, total: int) -> None:
        """Begins the note anew: the time, then what there is and what is added, a line each. One that another process
        reads half-written only makes that look through the entries."""
        with contextlib.suppress(OSError):
            (self.directory / NOTE).write_text(f"{time.time()}\n{total}\n")

    def contents(self) -> dict[str, tuple[int, int]]:
        """Files and their bytes by kind, the suffix of their names; what crashes and refusals left as "failed"."""
        kinds: dict[str, tuple[int, int]] = {}
        for kind, path in self._kept():
            files, size = kinds.get(kind, (0, 0))
            kinds[kind] = files + 1, size + _bytes(path)
        return kinds

    def clear(self) -> tuple[int, int]:
        """Removes all that it holds, and nothing else that somebody may keep in the folder; files and bytes of it."""
        files = total = 0
        for kind, path in list(self._kept()):
            size = _bytes(path)
            with contextlib.suppress(OSError):
                if kind == LEFT:
                    shutil.rmtree(path)
                else:
                    path.unlink()
                files, total = files + 1, total + size
        with contextlib.suppress(OSError):
            (self.directory / NOTE).unlink()  # it counts what is gone
        return files, total

    def _kept(self) -> Iterator[tuple[str, Path]]:
        """Its own as (kind, path)."""
        with contextlib.suppress(OSError):
            for folder in sorted(self.directory.iterdir()):
                if folder.name.startswith((WORK, REFUSED)) and folder.is_dir():
                    yield LEFT, folder
                elif ENTRIES.fullmatch(folder.name):
                    yield from ((p.suffix, p) for p in self._entries(folder) if ENTRY.fullmatch(p.name))


def _secure(folder: Path) -> None:
    """What others may have written to a folder of entries is gone from it, and they may write there no longer. Raises
    OSError where that cannot be done."""
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode):
        folder.unlink()
        raise FileNotFoundError(errno.ENOENT, "there was no folder", str(folder))
    if not hasattr(os, "getuid"):
        return
    if info.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    if stat.S_IMODE(info.st_mode) & 0o022:
        folder.chmod(0o700)
        for path in Cache._entries(folder):
            if ENTRY.fullmatch(path.name):
                _remove(path)


def _remove(path: Path) -> None:
    """An entry, whatever it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _bytes(path: Path) -> int:
    with contextlib.suppress(OSError):
        return sum(p.stat().st_size for p in path.rglob("*")) if path.is_dir() else path.stat().st_size
    return 0


def _digest(path: Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()[:DIGITS]
