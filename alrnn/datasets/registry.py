"""The registry of real data: what each file is, where it comes from, under which licence, and how to know it again.

The entries stand in registry.toml.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class DataFile:
    """One file: its path below each data folder, and how to know it again.

    `size` is in bytes, as published. `sha256` is that of the file or, if `unpacked` (bytes) is given, of the content of
    this gzip file, so that a recompressed copy is as good as the original; `blob`, where that is all that is known, the
    name that git gives it. `also` lists files that may take its place, `elsewhere` folders below a data folder in which
    others keep it.
    """

    path: str
    size: int
    sha256: str = ""
    url: str = ""  # empty: bundled, or not to be downloaded
    unpacked: int = 0
    blob: str = ""  # SHA-1 of "blob SIZE", a zero byte and the content
    also: tuple["DataFile", ...] = ()
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """One data set: its files and where they come from."""

    name: str
    content: str
    licence: str
    citation: str
    home: str
    files: tuple[DataFile, ...]


def _files(entries: list[dict[str, Any]]) -> tuple[DataFile, ...]:
    return tuple(
        DataFile(**e | {"also": _files(e.get("also", [])), "elsewhere": tuple(e.get("elsewhere", []))}) for e in entries
    )


_ENTRIES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
REGISTRY = {name: DataSet(name, **entry | {"files": _files(entry["files"])}) for name, entry in _ENTRIES.items()}
