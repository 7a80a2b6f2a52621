"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """A file that appears under this path when it is whole, or not at all; a link stays one, a file keeps its mode."""
    there = Path(path).resolve()
    part = there.with_name(f"{there.name}.part")
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if there.exists():
            shutil.copymode(there, part)
        os.replace(part, there)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def read_whole(path: str | os.PathLike, what: str) -> Iterator[IO[bytes]]:
    """The file under this path; ValueError, that it is no saved `what`, for any error in reading it."""
    with open(path, "rb") as file:
        try:
            yield file
        except Exception as error:  # of many kinds, as it may hold anything
            raise ValueError(f"{os.fspath(path)} is no saved {what}: {error}") from None


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """What is done meanwhile is done whole: Ctrl-C waits."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting = []
    signal.signal(signal.SIGINT, lambda *_: waiting.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            signal.raise_signal(signal.SIGINT)
