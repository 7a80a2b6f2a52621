"""A table of trained nets, a CSV file that any number of processes fill at once. A net is known by its settings."""

from __future__ import annotations

import ast
import contextlib
import csv
import errno
import functools
import glob
import hashlib
import io
import os
import uuid
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd
from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from ..files import written_whole
from ..sweep import OUTCOMES

Key = frozenset[tuple[str, Hashable]]
NEEDED = {"model", "task", "seed", "test"}  # columns, by which a line of names is known, too


def read(path: str | os.PathLike) -> pd.DataFrame:
    """The table at `path`, each net once, every entry as the text it is; empty if there is none.

    Several tables one behind the other, whatever the order of their columns, are one. A row that was cut off is left
    out.

    Raises:
        ValueError: the file is no such table, or a line has more entries than there are columns.
    """
    if not os.path.exists(path):
        return pd.DataFrame()
    names: list[str] = []
    rows: dict[Key, dict[str, str]] = {}
    with open(path, encoding="utf-8", newline="") as file:
        try:
            for line in (lines := csv.reader(file, strict=True)):
                if not names or (set(line) >= NEEDED and all(text and text == _value(text) for text in line)):
                    names = line
                    if missing := NEEDED - set(names):
                        raise ValueError(f"it has no column {', '.join(sorted(missing))}")
                elif len(line) > len(names):
                    raise ValueError(f"line {lines.line_num} has {len(line)} entries, for {len(names)} columns")
                elif len(line) == len(names) and (row := dict(zip(names, line, strict=True))).get("version") != "":
                    rows.setdefault(key(row), row)
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{os.fspath(path)} is no table of sweeps: {error}") from None
    table = pd.DataFrame(rows.values(), columns=None if rows else names, dtype=str)
    return table.fillna("")


def key(row: Mapping[str, str]) -> Key:
    """The settings in a row, by value: what is missing or empty is left out, and so is what came out of training."""
    return frozenset((name, _value(text)) for name, text in row.items() if text != "" and _is_setting(name))


def keys(table: pd.DataFrame) -> list[Key]:
    """`key` of each row."""
    return [key(dict(zip(table.columns, row, strict=True))) for row in table.itertuples(index=False, name=None)]


def _is_setting(name: str) -> bool:
    return name not in OUTCOMES and not name.startswith(("validation_", "test_"))


@functools.cache
def _value(text: str) -> Hashable:
    """1, 1.0 and 1e0 are one number, and (1, 2) is (1.0, 2.0); all else is the text that it is."""
    try:
        return _number(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, OverflowError):
        return text


def _number(x: object) -> Hashable:
    if isinstance(x, tuple):
        return tuple(map(_number, x))
    if isinstance(x, bool) or not isinstance(x, (int, float)):
        raise TypeError
    return int(x) if x == int(x) else x


class Seconds:
    """How long nets take to train, from rows of a table: the mean over those of the same kind, task, M and steps."""

    def __init__(self, table: pd.DataFrame):
        self.known: dict[Key, list[float]] = {}
        self.add(table)

    def add(self, table: pd.DataFrame) -> None:
        """Learn from these rows."""
        took = pd.to_numeric(table.get("seconds", pd.Series(dtype=str)), errors="coerce")
        for k, seconds in zip(keys(table), took, strict=True):
            if seconds > 0:
                self.known.setdefault(self._alike(k), []).append(seconds)

    def of(self, nets: Iterable[Key]) -> float:
        """Seconds that these take on one core; of those of which nothing is known, as many as the others."""
        mean = {k: sum(x) / len(x) for k, x in self.known.items()}
        other = sum(mean.values()) / len(mean) if mean else 0.0
        return sum(mean.get(self._alike(k), other) for k in nets)

    @staticmethod
    def _alike(k: Key) -> Key:
        return frozenset(x for x in k if x[0] in ("model", "task", "M", "steps") or x[0].startswith("task_"))


def merge(path: str | os.PathLike, others: Iterable[str | os.PathLike]) -> pd.DataFrame:
    """Add the rows of other tables to the one at `path`, which need not be there; each net once, the first one found.

    Raises:
        ValueError: a file is no table of sweeps. FileNotFoundError: one of the others is not there.
    """
    found = []
    for other in others:
        os.stat(other)
        found.append(read(other))
    with Shared(path) as table:
        table.add(*found)
        return table.read()


class Shared:
    """The table at `path`, within `with`, while other processes may be at it: none loses rows of another's.

    Beside it lie, meanwhile, PATH.lock, held while the table is read or written, and for each process a PATH.claim-*
    with what it is training. That one is locked as long as the process lives, so what a killed one claimed is free.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path).resolve()  # a link and what it leads to have one lock
        self.claims = self.path.with_name(f"{self.path.name}.claim-{uuid.uuid4().hex}")
        self.alive = contextlib.ExitStack()

    def __enter__(self) -> Shared:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(self.path.parent, os.W_OK):
            raise PermissionError(f"{self.path.parent} cannot be written to")
        self.read()  # what is no table is refused now
        with self._locked():
            self.alive.enter_context(_held(self.claims))
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(OSError), self._locked():  # what cannot be cleared away is harmless
            self.claims.unlink(missing_ok=True)
            self.alive.close()
            if not any(self._others()):
                self._lock_file.unlink(missing_ok=True)  # who waits for it sees that it is gone, and makes a new one
        self.alive.close()

    def read(self) -> pd.DataFrame:
        """All rows that there are."""
        return read(self.path)

    def take(self, nets: Iterable[Key]) -> tuple[set[Key], set[Key]]:
        """Claim those of these nets that are not trained and that nobody else is training; also: which others are."""
        nets = set(nets)
        with self._locked():
            done = set(keys(self.read()))
            names = {_name(k): k for k in nets - done}
            taken = {names[name] for other in self._others() for name in other.read_text().split() if name in names}
            mine = nets - done - taken
            with contextlib.suppress(OSError), open(self.claims, "a", encoding="ascii") as file:  # a full disk
                file.writelines(f"{_name(k)}\n" for k in mine)
        return mine, taken

    def add(self, *rows: pd.DataFrame) -> None:
        """Add rows, but for nets that are there."""
        with self._locked():
            old = self.read()
            table = pd.concat([old, *map(texts, rows)]).fillna("")
            table = table[~pd.Series(keys(table), dtype=object).duplicated().to_numpy()]
            if len(table) == len(old):
                return
            names = sorted(
                table, key=lambda name: (not _is_setting(str(name)), name == "version")
            )  # whole if that is there
            with written_whole(self.path) as file:
                file.write(table[names].to_csv(index=False, lineterminator="\n").encode())

    @property
    def _lock_file(self) -> Path:
        return self.path.with_name(f"{self.path.name}.lock")

    def _locked(self) -> contextlib.AbstractContextManager:
        return _held(self._lock_file)

    def _others(self) -> Iterator[Path]:
        """The claims of other processes that live; those of the dead are cleared away."""
        for other in self.path.parent.glob(f"{glob.escape(self.path.name)}.claim-{'?' * 32}"):
            if other != self.claims:
                try:
                    with _held(other, wait=False):
                        other.unlink()
                except Timeout:
                    yield other
                except FileNotFoundError:
                    pass


@contextlib.contextmanager
def _held(path: Path, wait: bool = True) -> Iterator[BaseFileLock]:
    """The lock on a file, which is made if need be; Timeout if another has it and we do not wait."""
    lock: BaseFileLock = FileLock(path)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):  # network file systems without locks
            raise
        lock = SoftFileLock(path.with_name(f"{path.name}.held"))
        lock.acquire(timeout=-1 if wait else 0)
    try:
        yield lock
    finally:
        lock.release()


def _name(k: Key) -> str:
    return hashlib.sha256(repr(sorted((name, repr(x)) for name, x in k)).encode()).hexdigest()[:20]


def texts(table: pd.DataFrame) -> pd.DataFrame:
    """Every entry as the text that a file has of it."""
    names, *rows = csv.reader(io.StringIO(table.to_csv(index=False, lineterminator="\n")))
    return pd.DataFrame(rows, columns=names, dtype=str)
