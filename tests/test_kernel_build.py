"""Whatever goes wrong in building the kernel, the recurrence still runs, and `backend` says why."""

import os
import shutil
import stat
import subprocess
import sys

import pytest
import torch

from alrnn.recurrence import backend, kernel, recurrence

pytestmark = [
    pytest.mark.skipif(os.environ.get("ALRNN_KERNEL") == "0", reason="the kernel is switched off"),
    pytest.mark.skipif(os.name != "posix", reason="the kernel is built on POSIX systems only"),
]
compiled = pytest.mark.skipif(not kernel._compilers(), reason="no C compiler")

PROGRAM = """
import torch
from alrnn.recurrence import backend, recurrence
one = torch.ones(1, 1)
z = recurrence(one[None], one[None], one / 2, one[None], one[None], one, 0 * one)
assert z.item() == 3.5, z
print(backend().name, backend().why)
"""


def script(path, text):
    path.write_text("#!/bin/sh\n" + text + "\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A new cache folder, and a kernel that is not yet loaded; afterwards the real one again."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv("ALRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ALRNN_CFLAGS", "-O0")  # quick to build
    kernel.load.cache_clear()
    yield tmp_path
    kernel.load.cache_clear()


def serves(name):
    """`name` is the backend now, and the recurrence computes. Returns why."""
    one = torch.ones(1, 1)
    z = recurrence(one[None], one[None], one / 2, one[None], one[None], one, 0 * one)
    assert z.item() == 3.5
    assert backend().name == name, backend().why
    return backend().why


@compiled
def test_built_once_and_kept_private(fresh):
    assert "built by" in serves("c")
    (library,) = (fresh / "cache").iterdir()  # nothing else is left behind
    assert stat.S_IMODE((fresh / "cache").stat().st_mode) == 0o700
    assert not stat.S_IMODE(library.stat().st_mode) & 0o022
    made = library.stat().st_mtime_ns
    kernel.load.cache_clear()
    serves("c")
    assert library.stat().st_mtime_ns == made


@compiled
def test_other_flags_make_another_file(fresh, monkeypatch):
    serves("c")
    monkeypatch.setenv("ALRNN_CFLAGS", "-O0 -DOTHER")
    kernel.load.cache_clear()
    serves("c")
    assert len(list((fresh / "cache").iterdir())) == 2


def test_switched_off(fresh, monkeypatch):
    monkeypatch.setenv("ALRNN_KERNEL", "0")
    assert serves("torch") == "switched off by ALRNN_KERNEL=0"
    assert not (fresh / "cache").exists()


def test_no_compiler(fresh, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(fresh))
    monkeypatch.setattr(kernel.importlib.util, "find_spec", lambda name: None)
    assert "no C compiler found" in serves("torch")


def test_compiler_that_does_not_exist(fresh, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler-anywhere")
    assert "no such compiler" in serves("torch")


@compiled
@pytest.mark.parametrize("name", ["CC", "ALRNN_CFLAGS"])
def test_setting_with_an_open_quote(fresh, monkeypatch, name):
    monkeypatch.setenv(name, '"')
    assert "quotation" in serves("torch")


@compiled
def test_folders_on_the_way_are_made_private_whatever_the_umask(fresh, monkeypatch):
    monkeypatch.setenv("ALRNN_CACHE", str(fresh / "new" / "cache"))
    old = os.umask(0o002)
    try:
        serves("c")
    finally:
        os.umask(old)
    assert stat.S_IMODE((fresh / "new").stat().st_mode) == 0o700


@compiled
def test_folder_of_the_data_may_be_shared_with_a_group(fresh, monkeypatch):
    """With a umask of 002 the data's folder, next to the kernel's, is open to the user's group."""
    monkeypatch.delenv("ALRNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh))
    (fresh / "alrnn").mkdir()
    (fresh / "alrnn").chmod(0o775)
    serves("c")
    assert stat.S_IMODE((fresh / "alrnn-kernel").stat().st_mode) == 0o700
    assert not list((fresh / "alrnn").iterdir())


def test_compiler_that_fails(fresh, monkeypatch):
    monkeypatch.setenv("CC", script(fresh / "cc", "echo out of luck >&2; exit 3"))
    why = serves("torch")
    assert "status 3" in why and "out of luck" in why
    assert not list((fresh / "cache").iterdir())


def test_compiler_that_claims_success_but_makes_nothing(fresh, monkeypatch):
    monkeypatch.setenv("CC", script(fresh / "cc", "exit 0"))
    assert "status 0" in serves("torch")


def test_compiler_that_makes_rubbish(fresh, monkeypatch):
    rubbish = 'while [ "$1" != -o ]; do shift; done; echo rubbish > "$2"'
    monkeypatch.setenv("CC", script(fresh / "cc", rubbish))
    assert ".so" in serves("torch")


@compiled
def test_next_compiler_serves_if_the_first_fails(fresh, monkeypatch):
    bad = script(fresh / "cc", "exit 1")
    monkeypatch.setattr(kernel, "_compilers", lambda real=kernel._compilers: [[bad], *real()])
    serves("c")


@compiled
def test_broken_file_in_the_cache_is_built_anew(fresh):
    serves("c")
    (library,) = (fresh / "cache").iterdir()
    library.unlink()
    library.write_bytes(b"not a library")
    library.chmod(0o700)
    kernel.load.cache_clear()
    serves("c")


def test_folder_that_cannot_be_made(fresh, monkeypatch):
    (fresh / "file").write_text("")
    monkeypatch.setenv("ALRNN_CACHE", str(fresh / "file" / "cache"))
    assert "file" in serves("torch")


def test_read_only_home(fresh, monkeypatch):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system", "cache")

    monkeypatch.setattr(kernel.Path, "mkdir", refuse)
    assert "Read-only file system" in serves("torch")


def test_no_home(fresh, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ALRNN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(kernel.Path, "home", homeless)
    assert "home" in serves("torch")


def test_folder_others_can_write(fresh):
    (fresh / "cache").mkdir()
    (fresh / "cache").chmod(0o770)
    assert "others can write" in serves("torch")
    assert not list((fresh / "cache").iterdir())


def test_parent_folder_others_can_write(fresh):
    fresh.chmod(0o777)
    assert f"{fresh} belongs to another or others can write to it" in serves("torch")
    fresh.chmod(0o1777)  # sticky, as /tmp: nobody can replace the folder
    if kernel._compilers():
        kernel.load.cache_clear()
        serves("c")


@compiled
@pytest.mark.parametrize("how", ["others can write", "a link"])
def test_library_that_is_not_safe_is_not_loaded_but_built_anew(fresh, how):
    serves("c")
    (library,) = (fresh / "cache").iterdir()
    trap = fresh / "elsewhere.so"  # another inode: what is loaded stays as it is
    shutil.copy(library, trap)
    library.unlink()
    if how == "a link":
        library.symlink_to(trap)
    else:
        shutil.copy(trap, library)
        library.chmod(0o722)
    old = library.lstat().st_ino
    kernel.load.cache_clear()
    serves("c")
    status = library.lstat()
    assert status.st_ino != old and stat.S_ISREG(status.st_mode) and not status.st_mode & 0o022


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
def test_folder_of_another_user(fresh):
    (fresh / "cache").mkdir()
    os.chown(fresh / "cache", 12345, 12345)
    assert "belongs to others" in serves("torch")


@compiled
def test_processes_that_build_at_once(fresh):
    processes = [subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.communicate(timeout=300)[0].startswith("c built by")
        assert process.returncode == 0
    assert len(list((fresh / "cache").iterdir())) == 1
