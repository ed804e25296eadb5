"""compiler/build/cache.py: one file an entry, made once, never half there."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from weft.compiler.build import cache as cache_module
from weft.compiler.build.cache import Cache, default_directory, open_cache
from weft.compiler.build.library import compile_library
from weft.runtime.errors import WeftError

ROOT = Path(__file__).resolve().parents[1]
A, B, C = (hashlib.sha256(c).hexdigest() for c in (b"a", b"b", b"c"))


class Maker:
    def __init__(self, data=b"made"):
        self.data, self.calls = data, 0

    def __call__(self, path):
        self.calls += 1
        path.write_bytes(self.data)


def files(folder):
    return sorted(p for p in Path(folder).rglob("*") if p.is_file() and p.name != cache_module.NOTE)


def test_an_entry_is_made_once(tmp_path):
    make, c = Maker(), open_cache(tmp_path / "new" / "cache")
    path = c.fetch(A, make)
    assert path.read_bytes() == b"made" and c.fetch(A, make) == path == open_cache(c.directory).fetch(A, make)
    assert make.calls == 1 and files(c.directory) == [path]
    assert c.fetch(B, make) != path and make.calls == 2
    assert stat.S_IMODE(c.directory.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(p.read_bytes()[:-1]), lambda p: p.write_bytes(b"mAde"),
                                    lambda p: p.write_bytes(b""), lambda p: p.write_bytes(b"made" * 2)])  # fmt: skip
def test_a_damaged_entry_is_made_again(tmp_path, damage):
    make, c = Maker(), open_cache(tmp_path)
    path = c.fetch(A, make)
    damage(path)
    assert c.find(A) is None
    assert c.fetch(A, make).read_bytes() == b"made" and make.calls == 2
    assert len(files(tmp_path)) == 1


def test_what_fails_leaves_nothing(tmp_path):
    def make(path):
        path.write_bytes(b"half")
        raise ValueError

    c = open_cache(tmp_path)
    with pytest.raises(ValueError):
        c.fetch(A, make)
    assert files(tmp_path) == [] and c.find(A) is None


def test_the_least_recently_used_go_first(tmp_path):
    c = Cache(tmp_path, cap=350)
    paths = {}
    for age, key in ((300, A), (200, B), (100, C)):
        paths[key] = c.fetch(key, Maker(key.encode() + b"." * 36))  # 100 bytes
        then = time.time() - age
        os.utime(paths[key], (then, then))
    assert c.find(A) == paths[A]  # used again
    last = c.fetch(hashlib.sha256(b"d").hexdigest(), Maker(b"." * 100))
    assert files(tmp_path) == sorted([paths[A], last])
    huge = c.fetch(hashlib.sha256(b"e").hexdigest(), Maker(b"." * 1000))
    assert files(tmp_path) == [huge]  # what was just made stays


def test_what_crashes_left_goes_after_a_day(tmp_path):
    c = open_cache(tmp_path)
    for name, age in (("weft-tmp-old", 2), ("weft-tmp-new", 0), ("weft-failed-old", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.c").write_text("")
        then = time.time() - age * cache_module.DAY
        os.utime(tmp_path / name, (then, then))
    c.fetch(A, Maker())
    assert {p.name for p in tmp_path.iterdir()} == {"weft-tmp-new", A[:2], cache_module.NOTE}


def test_what_somebody_keeps_in_the_folder_stays(tmp_path):
    """However much it takes, and however old it is."""
    c = Cache(tmp_path, cap=100)
    kept = [tmp_path / name for name in ("photos/large.jpg", "ab/mine.so", "tmp-data/x", "failed-runs/x", "notes")]
    then = time.time() - 3 * cache_module.DAY
    for p in kept:
        p.parent.mkdir(exist_ok=True)
        p.write_bytes(b"." * 1000)
        os.utime(p, (then, then))
        os.utime(p.parent, (then, then))
    made = c.fetch(A, Maker())
    assert files(tmp_path) == sorted([*kept, made])


def test_a_folder_that_is_gone_when_it_is_looked_at(tmp_path):
    """Another process has just removed it: what comes after it counts."""
    c = Cache(tmp_path, cap=100)
    (tmp_path / "tmp-gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / f"{cache_module.WORK}gone").symlink_to(tmp_path / "nowhere")
    for n in range(6):
        c.fetch(hashlib.sha256(b"%d" % n).hexdigest(), Maker(b"." * 60))
    assert sum(p.stat().st_size for p in files(tmp_path)) <= 100


def test_entries_are_looked_through_when_they_may_be_too_many(tmp_path, monkeypatch):
    """Not at each that is added: that takes longer the more there are."""
    looked = []
    real = Cache.shrink
    monkeypatch.setattr(Cache, "shrink", lambda self, keep=None: (looked.append(keep), real(self, keep)))
    c = Cache(tmp_path, cap=1050)

    def add(n, size=100):
        looked.clear()
        c.fetch(hashlib.sha256(b"%d" % n).hexdigest(), Maker(b"." * size))
        return len(looked)

    assert [add(n) for n in range(10)] == [1] + [0] * 9  # 1,000 bytes
    assert add(10) == 1 and sum(p.stat().st_size for p in files(tmp_path)) <= 787
    assert add(11) == 0
    note = tmp_path / cache_module.NOTE
    note.write_text("half a li")  # as a crash, or another process just now, may leave it
    assert add(12) == 1 and add(13) == 0
    old = note.read_text().split()
    note.write_text("\n".join([str(float(old[0]) - cache_module.DAY), *old[1:], ""]))
    assert add(14) == 1


@pytest.mark.parametrize("why", ["a file", "another's", "not UTF-8"])
def test_a_directory_that_cannot_be_used(tmp_path, monkeypatch, why):
    cache_module._elsewhere.clear()
    folder = tmp_path / "cache"
    if why == "a file":
        folder.write_text("")
    elif why == "not UTF-8":
        folder = Path(os.fsdecode(os.fsencode(folder) + b"\xff"))
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    told = {"a file": "is a file", "another's": "belongs to another user", "not UTF-8": "can't encode"}[why]
    with pytest.warns(UserWarning, match=f"the cache of compiled programs cannot be used .*{told}.*WEFT_CACHE_DIR"):
        c = open_cache(folder)
    assert c.directory != folder and stat.S_IMODE(c.directory.stat().st_mode) == 0o700
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_cache(folder).directory == c.directory  # one warning
    assert c.fetch(A, Maker()).read_bytes() == b"made"
    cache_module._elsewhere.clear()


def test_the_private_directory_goes_with_the_process(tmp_path):
    (tmp_path / "file").write_text("")
    code = """
import os, sys, warnings
warnings.simplefilter("ignore")
from weft.compiler.build.cache import open_cache
print(open_cache(sys.argv[1]).directory, flush=True)
pid = os.fork()
if pid == 0: sys.exit()
os.waitpid(pid, 0)
assert open_cache(sys.argv[1]).directory.is_dir()
"""
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not Path(done.stdout.split()[0]).exists()


def test_there_is_one_private_directory_whatever_the_error_says(tmp_path, monkeypatch):
    """It may name the file that could not be made, another one each time; what has removed the folder leaves none."""
    cache_module._elsewhere.clear()

    def refused(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), f"{path}/{os.urandom(4).hex()}")

    monkeypatch.setattr(cache_module, "_prepare", refused)
    with pytest.warns(UserWarning, match="Permission denied") as told:
        first = open_cache(tmp_path).directory
        assert open_cache(tmp_path).directory == first
        shutil.rmtree(first)  # the parent of a forked process ends, or something tidies the folder up
        second = open_cache(tmp_path)
        assert second.fetch(A, Maker()).read_bytes() == b"made"
    assert len(told) == 1 and second.directory != first
    cache_module._elsewhere.clear()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_a_directory_that_others_may_write_to_is_not_used(tmp_path, mode):
    """Nor changed: it is the user's."""
    cache_module._elsewhere.clear()
    tmp_path.chmod(mode)
    with pytest.warns(UserWarning, match=r"others may write to .*: chmod go-w"):
        c = open_cache(tmp_path)
    c.fetch(A, Maker())
    assert c.directory != tmp_path and not files(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode
    cache_module._elsewhere.clear()


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o700])
def test_a_directory_that_is_there_is_left_as_it_is(tmp_path, mode):
    tmp_path.chmod(mode)
    made = open_cache(tmp_path).fetch(A, Maker())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700


def test_a_home_directory_by_its_sign(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_cache("~/cache").directory == tmp_path / "cache"


@pytest.mark.parametrize(
    ("platform", "variable", "value", "want"),
    [
        ("linux", "XDG_CACHE_HOME", "/x/cache", "/x/cache/weft"),
        ("linux", "XDG_CACHE_HOME", "relative", "/home/me/.cache/weft"),
        ("linux", "XDG_CACHE_HOME", "", "/home/me/.cache/weft"),
        ("darwin", "XDG_CACHE_HOME", "/x/cache", "/home/me/Library/Caches/weft"),
        ("win32", "LOCALAPPDATA", "/local", "/local/weft"),
    ],
)
def test_the_platforms_directory(monkeypatch, platform, variable, value, want):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv(variable, value)
    assert default_directory() == Path(want)


def test_several_processes_fill_one_cache(tmp_path):
    """Eight processes want the same two libraries at once; one damages an entry meanwhile."""
    code = """
import ctypes, sys
from weft.compiler.build.library import compile_library
from weft.runtime.errors import WeftError
for k in (1, 2, 1, 2):
    path = compile_library([("f.c", f"int f(void) {{ return {k}; }}")], cache_dir=sys.argv[1])
    assert ctypes.CDLL(str(path)).f() == k
"""
    path = compile_library([("f.c", "int f(void) { return 1; }")], cache_dir=tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(8)]
    for p in running:
        _, err = p.communicate(timeout=120)
        assert p.returncode == 0, err.decode()
    assert len(files(tmp_path)) == 2


def test_a_second_compilation_takes_the_first_ones_file(tmp_path, monkeypatch):
    from weft.compiler.build import toolchain

    source = [("f.c", "int f(void) { return 1; }")]
    path = compile_library(source, cache_dir=tmp_path)
    monkeypatch.setattr(toolchain, "compile_to", None)
    assert compile_library(source, cache_dir=tmp_path) == path
    with pytest.raises(TypeError):
        compile_library([("f.c", "int f(void) { return 2; }")], cache_dir=tmp_path)


@pytest.mark.parametrize("when", ["the folder is made", "the file is written", "the compiler writes"])
def test_a_full_disk(tmp_path, monkeypatch, when):
    """What does not fit into the cache is compiled in a folder of the process's own."""
    cache_module._elsewhere.clear()
    full, elsewhere = tmp_path / "cache", tmp_path / "tmp"
    elsewhere.mkdir()
    monkeypatch.setattr(cache_module.tempfile, "tempdir", str(elsewhere))
    c = open_cache(full)
    no_room = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if when == "the folder is made":
        real = cache_module.tempfile.TemporaryDirectory

        def temporary(**where):
            if where.get("dir") == full:
                raise no_room
            return real(**where)

        monkeypatch.setattr(cache_module.tempfile, "TemporaryDirectory", temporary)
    cc = ""
    if when == "the compiler writes":
        cc = str(tmp_path / "cc")
        says = f'case "$*" in *{full}*) echo "error: {os.strerror(errno.ENOSPC)}"; exit 1;; esac; exec gcc "$@"'
        Path(cc).write_text(f"#!/bin/sh\n{says}\n")
        Path(cc).chmod(0o755)

    def make(path):
        if when == "the file is written" and path.is_relative_to(full):
            raise no_room
        path.write_bytes(b"made")

    with pytest.warns(UserWarning, match=r"cannot be used \(.*cache: No space left.*WEFT_CACHE_DIR") as told:
        if cc:
            path = compile_library([("f.c", "int f(void) { return 1; }")], cc=cc, cache_dir=full)
        else:
            path = c.fetch(A, make)
            assert c.fetch(B, make).parent.parent == path.parent.parent
    assert len(told) == 1 and path.is_relative_to(elsewhere) and files(full) == []
    cache_module._elsewhere.clear()


def test_no_room_here_nor_elsewhere(tmp_path, monkeypatch):
    """It is tried in one other folder, not in ever new ones."""
    cache_module._elsewhere.clear()
    monkeypatch.setattr(cache_module.tempfile, "tempdir", str(tmp_path))
    tried = []

    def make(path):
        tried.append(path)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.warns(UserWarning, match="No space left"), pytest.raises(OSError, match="No space left"):
        open_cache(tmp_path / "cache").fetch(A, make)
    assert len(tried) == 2
    cache_module._elsewhere.clear()


def test_no_room_anywhere(tmp_path, monkeypatch):
    cache_module._elsewhere.clear()
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(cache_module.tempfile, "mkdtemp", lambda **_: (_ for _ in ()).throw(OSError("read-only")))
    with pytest.raises(WeftError, match=r"no place for compiled programs: .*read-only.*WEFT_CACHE_DIR"):
        open_cache(tmp_path / "file")


def test_ten_processes_compile_one_function(tmp_path):
    code = """
import sys, numpy as np, weft, weft.tensor as T
x = T.dvector("x")
f = weft.function([x], T.exp(x).sum() * 3)
assert f(np.zeros(4)) == 12
"""
    environment = {**os.environ, "WEFT_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, env=environment) for _ in range(10)]
    for p in running:
        _, err = p.communicate(timeout=240)
        assert p.returncode == 0, err.decode()
    assert len([p for p in files(tmp_path) if p.suffix == ".program"]) == 1
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(cache_module.WORK)]


def test_processes_that_are_killed(tmp_path):
    """Twenty of the thousand of `python tests/kill_cache.py`."""
    command = [sys.executable, str(ROOT / "tests" / "kill_cache.py"), "--kills", "20", "--dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 killed" in done.stdout


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_an_entry_that_is_no_file(tmp_path, kind):
    make, c = Maker(), open_cache(tmp_path)
    path = c.fetch(A, make)
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        (path / "inside").mkdir(parents=True)
    else:
        path.symlink_to(tmp_path / "nowhere")
    assert c.fetch(A, make).read_bytes() == b"made" and make.calls == 2
    assert stat.S_ISREG(path.lstat().st_mode)


def test_a_file_in_the_place_of_a_folder(tmp_path):
    make, c = Maker(), open_cache(tmp_path)
    path = c.fetch(A, make)
    shutil.rmtree(path.parent)
    path.parent.write_text("no folder")
    assert c.fetch(A, make) == path and path.read_bytes() == b"made" and make.calls == 2


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_entries_that_others_may_have_written_are_none(tmp_path, mode):
    tmp_path.chmod(0o755)
    make, c = Maker(), open_cache(tmp_path)
    path = c.fetch(A, make)
    path.parent.chmod(mode)
    planted = path.parent / (path.name[: -len(".so") - 32] + hashlib.sha256(b"planted").hexdigest()[:32] + ".so")
    planted.write_bytes(b"planted")
    path.unlink()
    assert c.find(A) is None
    assert c.fetch(A, make).read_bytes() == b"made" and make.calls == 2 and not planted.exists()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_path_that_begins_as_an_option_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    c = open_cache("-I")
    assert c.directory == tmp_path / "-I"
    assert compile_library([("f.c", "int f(void) { return 1; }")], cache_dir="-I").exists()


def test_a_link_to_nowhere(tmp_path):
    cache_module._elsewhere.clear()
    (tmp_path / "cache").symlink_to(tmp_path / "gone")
    with pytest.warns(UserWarning, match=r"is a link to .*gone, which is no folder"):
        open_cache(tmp_path / "cache")
    cache_module._elsewhere.clear()
