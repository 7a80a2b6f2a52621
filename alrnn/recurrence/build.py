"""Builds and loads kernel.c, the recurrence in C. Where that fails, `load` says why and torch serves instead.

The kernel is compiled once, on first use, for the processor at hand, into a folder of its own that nobody else can
write to: $ALRNN_CACHE, else $XDG_CACHE_HOME/alrnn-kernel, else ~/.cache/alrnn-kernel. If that one does not serve, each
process compiles for itself, in a temporary folder. ALRNN_KERNEL=0 switches the kernel off; a build that failed is tried
again after an hour, or at once with ALRNN_KERNEL=1. CC names a compiler, ALRNN_CFLAGS adds flags.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import multiprocessing
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .. import __version__

SOURCE = Path(__file__).with_name("kernel.c")
FLAGS = ["-std=gnu11", "-O3", "-shared", "-fPIC", "-pthread"]
NATIVE: tuple[list[str], ...] = (["-march=native"], ["-mcpu=native"], [])  # the first that the compiler takes
HOUR = 3600  # seconds: so long a failure is remembered, and a process's temporary files are left alone
ROOM = 1 << 20  # bytes that a folder must hold
TOLD = "ALRNN_KERNEL_TOLD"  # set for a process's workers: they need not repeat its warning
_TENSORS = ["s", "z0", "A", "W", "C", "h", "lower", "grad", "z", "marks", "ds", "dz0", "dA", "dWC", "dh", "dlower"]
_SIZES = ["K", "B", "T", "M", "N", "last"]


class Job(ctypes.Structure):
    """What the kernel is called with, as kernel.c lays it out."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in _TENSORS),
        *((name, ctypes.c_int64) for name in _SIZES),
        ("s_stride", ctypes.c_int64 * 4),
        ("grad_stride", ctypes.c_int64 * 4),
        *((name, ctypes.c_int64) for name in ("lanes", "block", "every", "marked", "P", "L", "threads", "room")),
        ("memory", ctypes.c_void_p),
    ]


class Backend(NamedTuple):
    """Which code runs the recurrence on the CPU, "c" or "torch", and why."""

    name: str
    why: str


class KernelWarning(UserWarning):
    """The C kernel was to run but cannot be had: torch serves, with the same results, several times slower."""


class NoFolder(OSError):
    """There is no folder to build or to load the kernel in."""


@functools.cache
def load() -> tuple[ctypes.CDLL | None, Backend]:
    """The kernel, or None, and which code will run and why. Decided once a process; a failure is said aloud."""
    if os.environ.get("ALRNN_KERNEL") == "0":
        return None, Backend("torch", "switched off by ALRNN_KERNEL=0")
    if os.name != "posix":
        return None, Backend("torch", f"the C kernel is not built on {platform.system()}")
    library, why = _find()
    if library is not None:
        return library, Backend("c", why)
    if multiprocessing.parent_process() is None or TOLD not in os.environ:
        os.environ[TOLD] = "1"
        message = f"no C kernel, PyTorch serves, several times slower: {why}. The book's page on troubleshooting says "
        message += "what to do; ALRNN_KERNEL=0 accepts it as it is"
        warnings.warn_explicit(" ".join(message.split()), KernelWarning, "alrnn.recurrence", 1)  # one line, no source
    return None, Backend("torch", why)


def _find() -> tuple[ctypes.CDLL | None, str]:
    """The kernel of the first compiler that makes one, and where it comes from; or None and all that went wrong."""
    cache, reasons = None, []
    try:
        cache = _private_folder()
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder
        reasons.append(_message(error))
    try:
        compilers = _compilers()
        for compiler in compilers:
            called = shlex.join(compiler)
            try:
                library, where = _obtain(compiler, cache)
                return library, "; ".join([f"built by {called}{where}", *reasons])
            except NoFolder as error:
                reasons.append(_message(error))
                break
            except (OSError, RuntimeError, subprocess.SubprocessError, AttributeError, ValueError) as error:
                reasons.append(f"{called}: {_message(error)}")
    except ValueError as error:
        return None, f"CC: {error}"
    if not compilers:
        reasons = ["no C compiler found (tried $CC, cc, gcc, clang): install one, or pip install ziglang"]
    return None, "; ".join(reasons)


def _compilers() -> list[list[str]]:
    """Commands of the compilers found, each program once; if CC is set, only that one."""
    if named := shlex.split(os.environ.get("CC", "")):
        return [named]
    found: dict[str, list[str]] = {}
    for name in ("cc", "gcc", "clang"):
        if path := shutil.which(name):
            found.setdefault(os.path.realpath(path), [path])
    zig = [[sys.executable, "-m", "ziglang", "cc"]] if importlib.util.find_spec("ziglang") else []
    return [*found.values(), *zig]


# ---- folders


def _private_folder() -> Path:
    """The cache folder, made if need be; nobody else may write to it or replace it."""
    given = os.environ.get("ALRNN_CACHE")
    folder = Path(given or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alrnn-kernel")
    folder = folder.expanduser().absolute()
    for path in (*reversed(folder.parents), folder):  # one by one: `parents=True` would leave their mode to the umask
        path.mkdir(mode=0o700, exist_ok=True)
    folder = folder.resolve()
    _refuse_foreign(folder)
    _refuse_replaceable(folder)
    return folder


def _refuse_foreign(path: Path) -> None:
    status = path.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022 or stat.S_ISLNK(status.st_mode):
        raise PermissionError(f"{path} belongs to others or others can write to it: remove it, or set ALRNN_CACHE")


def _refuse_replaceable(folder: Path) -> None:
    """Nobody may put another folder into the place of this one but those who can in any case.

    These are root and the owner of /. Where users have a name space of their own (containers without root), root has no
    number there, and / belongs to the number that stands for all who have none.
    """
    trusted = (0, os.geteuid(), os.stat("/").st_uid)
    for parent in folder.parents:
        status = parent.stat()
        sticky = status.st_mode & stat.S_ISVTX  # as /tmp: others may add files but not replace ours
        if status.st_uid not in trusted or (status.st_mode & 0o022 and not sticky):
            raise PermissionError(f"{parent} belongs to another or others can write to it: set ALRNN_CACHE")


def _scratch_in(place: Path, stack: contextlib.ExitStack) -> Path:
    """A new folder there, of mode 0700, that goes with the stack.

    Raises:
        OSError: others can replace it, or it cannot be written to, has no room, or nothing can be executed in it.
    """
    keeper = tempfile.TemporaryDirectory(prefix="tmp-alrnn-", dir=place.resolve(), ignore_cleanup_errors=True)
    folder = Path(stack.enter_context(keeper))
    _refuse_foreign(folder)
    _refuse_replaceable(folder)
    if os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0):
        raise PermissionError(f"nothing can be executed in {place} (noexec): set ALRNN_CACHE")
    room = folder / "room"
    room.write_bytes(bytes(ROOM))
    room.unlink()
    return folder


def _places(cache: Path | None) -> Iterator[Path]:
    """Folders to build and to load the kernel in."""
    if cache is not None:
        yield cache
    yield from map(Path, dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"]))


def _clear(cache: Path) -> None:
    """Remove what killed processes have left, and failures of long ago."""
    for path in (*cache.glob("tmp*"), *cache.glob("*.failed")):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > HOUR:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


# ---- building


def _obtain(compiler: list[str], cache: Path | None) -> tuple[ctypes.CDLL, str]:
    """The kernel that this compiler makes, from the cache or new, and the rest of a sentence: where it lies."""
    name = f"kernel-{_key(compiler)}"
    if cache is None:
        return _build(compiler, None, f"{name}.so")
    kept, failed = cache / f"{name}.so", cache / f"{name}.failed"
    with contextlib.suppress(OSError, AttributeError):  # if it is not there, not ours alone or not whole, build it anew
        _refuse_foreign(kept)
        return _open(kept), f": {kept}"
    with contextlib.suppress(OSError):
        recent = abs(time.time() - failed.stat().st_mtime) < HOUR
        if recent and os.environ.get("ALRNN_KERNEL") != "1":
            raise RuntimeError(f"{failed.read_text('utf-8')} (remembered for an hour; ALRNN_KERNEL=1 tries again)")
    _clear(cache)
    try:
        library, where = _build(compiler, cache, kept.name)
    except NoFolder:
        raise
    except (OSError, subprocess.SubprocessError, AttributeError) as error:
        with contextlib.suppress(OSError):
            failed.write_text(_message(error), "utf-8")
        raise
    failed.unlink(missing_ok=True)
    return library, where


def _build(compiler: list[str], cache: Path | None, name: str) -> tuple[ctypes.CDLL, str]:
    """Compile in the first place that serves; what does not load from there may do so from the next one.

    In the cache it appears in one step, so two processes cannot disturb each other. Elsewhere it goes once loaded.
    """
    made, faults = None, []
    with contextlib.ExitStack() as stack:
        for place in _places(cache):
            try:
                scratch = _scratch_in(place, stack) / name
            except OSError as error:
                faults.append(_message(error))
                continue
            if made is None:
                made = _compile(compiler, scratch)
            try:
                library = _open(made if made == scratch else shutil.copy(made, scratch))
            except OSError as error:
                faults.append(_message(error))
                continue
            if place != cache:
                return library, " ".join([f" in {place}, for this process alone", *(f"({x})" for x in faults)])
            made.replace(cache / name)
            return library, f": {cache / name}"
    raise (NoFolder if made is None else OSError)("; ".join(faults))


def _compile(compiler: list[str], made: Path) -> Path:
    """Returns `made`. Raises: OSError, subprocess.TimeoutExpired: the compiler cannot."""
    for native in NATIVE:
        command = [*compiler, *FLAGS, *native, *_extra(), str(SOURCE), "-o", str(made)]
        result = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=120, stdin=subprocess.DEVNULL
        )
        if result.returncode == 0 and made.exists():
            made.chmod(0o700)
            return made
    raise OSError(f"failed with status {result.returncode}: {' '.join(result.stderr.split())[:300]}")


def _open(path: Path | str) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    for name in ("plan", "forward", "backward", "leap_plan", "leap_forward", "leap_backward"):
        function = getattr(library, f"alrnn_{name}")
        function.argtypes = [ctypes.POINTER(Job), ctypes.c_int64]
        function.restype = None
    return library


def _extra() -> list[str]:
    return shlex.split(os.environ.get("ALRNN_CFLAGS", ""))


def _key(compiler: list[str]) -> str:
    """All that the result depends on: another one is another file."""
    how = repr([__version__, FLAGS, NATIVE, _extra(), compiler, _identity(compiler[0])]).encode()
    return hashlib.sha256(b"|".join([SOURCE.read_bytes(), how, _processor()])).hexdigest()[:20]


def _identity(program: str) -> tuple:
    found = shutil.which(program)
    if found is None:
        raise FileNotFoundError(f"no such compiler: {program}")
    status = os.stat(found)
    return os.path.realpath(found), status.st_size, status.st_mtime_ns


def _processor() -> bytes:
    """What -march=native depends on: a home folder may be shared by different machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        kept = [x for x in lines if x.split("\t")[0].strip() in ("model name", "flags", "Features", "CPU part")]
    except OSError:
        kept = []
    return "\n".join([*platform.uname()[::4], platform.processor(), *kept]).encode()


def _message(error: Exception) -> str:
    return str(error) or type(error).__name__
