"""Where a file is, and that it is the registered one: bundled, in a local folder, in the cache, or downloaded."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import shutil
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from .registry import REGISTRY, DataFile

if TYPE_CHECKING:
    import pandas as pd

GZIP = b"\x1f\x8b"  # how such files begin
ABANDONED = 24 * 3600  # seconds after which a part of a download cannot be in use any more


class DataError(RuntimeError):
    """A data file is missing, truncated, altered or out of reach; the message says where it was sought, what to do."""


def fetch(name: str) -> list[Path]:
    """Make sure that all files of a data set are at hand and unaltered, downloading what is missing; their paths."""
    if name not in REGISTRY:
        raise DataError(f"There is no data set {name!r}; known are {', '.join(REGISTRY)}.")
    return [obtain(name, file)[0] for file in REGISTRY[name].files]


def describe() -> pd.DataFrame:
    """One row a data set: name, content, size (MB, as published), where it is now, licence, citation, home.

    "Where" is looked up without reading the files: bundled, ALRNN_DATA, cache, or "not here" if any file is missing.
    """
    import pandas as pd

    table = pd.DataFrame([vars(entry) for entry in REGISTRY.values()])
    table["size"] = [round(sum(file.size for file in files) / 1e6, 1) for files in table.files]
    table["where"] = table.files.map(_where)
    return table[["name", "content", "size", "where", "licence", "citation", "home"]]


def folders() -> dict[str, Path]:
    """Where files are looked for, in order; without ALRNN_DATA its place is left out."""
    import pooch

    package = Path(__file__).parents[1]
    inside = package / "data"  # in a wheel; in a checkout data/ stands beside the package
    places = {"bundled": inside if inside.is_dir() else package.parent / "data"}
    if os.environ.get("ALRNN_DATA"):
        places["ALRNN_DATA"] = Path(os.environ["ALRNN_DATA"]).expanduser().absolute()
    return places | {"cache": Path(pooch.os_cache("alrnn"))}


def _places(file: DataFile) -> list[tuple[str, Path, DataFile]]:
    """Where the file, or one in its stead, may be, in order: the place's name, the path, and which of these it is.

    In each folder: as registered, where others put it, and in the folder itself; packed, or unpacked.
    """
    found = []
    for place, folder in folders().items():
        for form in (file, *file.also):
            name = Path(form.path).name
            for below in dict.fromkeys([form.path, *(f"{other}/{name}" for other in form.elsewhere), name]):
                found += [(place, folder / one, form) for one in (below, *_unpacked_name(below, form))]
    return found


def _unpacked_name(path: str, file: DataFile) -> list[str]:
    return [path.removesuffix(".gz")] if file.unpacked and path.endswith(".gz") else []


def _where(files: tuple[DataFile, ...]) -> str:
    """The first places that hold the files, unread."""
    found = [next((place for place, path, _ in _places(file) if os.path.exists(path)), "not here") for file in files]
    return "not here" if "not here" in found else ", ".join(dict.fromkeys(found))


def obtain(name: str, file: DataFile) -> tuple[Path, bytes]:
    """Path and checked content of a file (unpacked if the registry says so), from the first place that has it."""
    looked = []
    for place, path, form in _places(file):
        if not os.path.exists(path):  # also False where the folder may not be read
            if path == folders()[place] / form.path:  # the other places would fill the page
                looked.append(f"{path} ({place}): not there")
            continue
        try:
            return path, _checked(path, form)
        except DataError as error:
            if place != "cache":  # somebody put it there: do not pass over it in silence
                raise DataError(f"{name}: {error}\nReplace the file, or remove it to look elsewhere.") from error
            looked.append(str(error))
    if "ALRNN_DATA" not in folders():
        looked.append("the environment variable ALRNN_DATA is not set")
    if file.url:
        try:
            return _download(file)
        except (OSError, ValueError, DataError) as error:  # requests' own errors are OSErrors
            looked.append(f"{file.url}: {error}")
        advice = f"Fetch {file.url} by hand, save it as FOLDER/{file.path} and set ALRNN_DATA=FOLDER."
    else:
        advice = f"The file comes with alrnn: install it anew, or set ALRNN_DATA to a folder that holds {file.path}."
    raise DataError("\n  ".join([f"{name}: {file.path} cannot be had. Looked in", *looked]) + f"\n{advice}")


def _checked(path: Path, file: DataFile) -> bytes:
    """The content of a file, refused unless it is the registered one."""
    expected = file.unpacked or file.size
    try:
        with path.open("rb") as raw:
            start = raw.read(512).lstrip()
        packed = file.unpacked and start.startswith(GZIP)  # if not, somebody has unpacked it on the way
        with gzip.open(path) if packed else path.open("rb") as stream:
            content = stream.read(expected + 1)  # no more is wanted, whatever it swells to
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read, it may be truncated: {error}") from error
    if start.lower().startswith((b"<!doctype html", b"<html")):
        raise DataError(f"{path} is a web page, a login or an error perhaps, and not the file")
    if len(content) != expected:
        what = "truncated" if len(content) < expected else "too long"
        raise DataError(f"{path} is {what}: {len(content):,} bytes, expected {expected:,}")
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(f"{path} is altered: SHA-256 {found}, expected {file.sha256}")
    return content


def _download(file: DataFile) -> tuple[Path, bytes]:
    """Fetch a file into the cache. It appears there under its name complete and checked, or not at all.

    Each process loads into a folder of its own and moves the file in one step, so that several may do so at once.
    An interrupted download starts anew; what a killed one leaves is cleared away by a later one.
    """
    path = folders()["cache"] / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    for part in path.parent.glob("part-*"):
        with contextlib.suppress(OSError):  # another process was first
            if time.time() - part.stat().st_mtime > ABANDONED:
                shutil.rmtree(part, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="part-", dir=path.parent) as own:
        part = Path(own) / path.name
        with tqdm(desc=path.name, total=file.size, unit="B", unit_scale=True) as bar:
            coded = _receive(file.url, part, bar)
        try:
            content = _checked(part, file)
        except DataError:
            if not (coded and part.read_bytes().startswith(GZIP)):
                raise
            part.write_bytes(_decoded(part, file))  # the server did pack it once more, as it said
            content = _checked(part, file)
        os.replace(part, path)
    return path, content


def _receive(url: str, part: Path, bar: tqdm) -> bool:
    """Write what a server sends, as it comes; whether it says that it has packed this for the way.

    Some say so of every .gz file, which nobody must unpack then: so nothing is unpacked here.
    """
    import requests
    import urllib3

    with requests.get(url, headers={"Accept-Encoding": "identity"}, stream=True, timeout=30) as answer:
        answer.raise_for_status()
        try:
            with part.open("wb") as file:
                for piece in answer.raw.stream(1 << 16, decode_content=False):
                    bar.update(file.write(piece))
        except urllib3.exceptions.HTTPError as error:
            raise OSError(error) from error
        return "gzip" in answer.headers.get("Content-Encoding", "")


def _decoded(part: Path, file: DataFile) -> bytes:
    try:
        with gzip.open(part) as stream:
            return stream.read(max(file.size, file.unpacked) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file.url} sent what cannot be unpacked, it may be truncated: {error}") from error
