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
from typing import IO, TYPE_CHECKING, cast

from tqdm import tqdm

from .registry import REGISTRY, DataFile

if TYPE_CHECKING:
    import pandas as pd

GZIP = b"\x1f\x8b"  # how such files begin
BEFORE_MARKUP = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"  # blanks and what tells how a text is encoded
WEB_PAGE = "is a web page, a login or an error perhaps, and not the file"
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
                first = folders()[place] / form.path
                advice = "Replace it, or remove it to look elsewhere."
                advice += "" if path == first else f" What is at {first} comes first."
                raise DataError(f"{name}: {path} {error}\n{advice}") from error
            looked.append(f"{path} {error}")
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
    """The content of a file, refused unless it is the registered one.

    Its checksum decides, not its name: it may be unpacked, or packed once more by a server, for the way.
    """
    wrong = []
    try:
        with path.open("rb") as raw:
            stream: IO[bytes] = raw
            for _ in range(3):
                content = stream.read((file.unpacked or file.size) + 1)  # no more is wanted, whatever it swells to
                if not (fault := _fault(content, file)):
                    return content
                wrong.append(fault)
                if not content.startswith(GZIP):
                    break
                stream.seek(0)
                stream = cast(IO[bytes], gzip.open(stream))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        wrong.append(f"cannot be unpacked, it may be truncated: {error}")
    except OSError as error:
        raise DataError(f"cannot be read: {error}") from error
    raise DataError(next((fault for fault in wrong if fault == WEB_PAGE), wrong[0 if _as_packed(file) else -1]))


def _as_packed(file: DataFile) -> bool:
    """Whether this is a gzip file that is known by itself and not by what is in it."""
    return file.path.endswith(".gz") and not file.unpacked


def _fault(content: bytes, file: DataFile) -> str:
    """What is wrong with the content of a file; empty if nothing is."""
    expected, found = file.unpacked or file.size, hashlib.sha256(content)
    if file.blob:
        found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    if len(content) == expected and found.hexdigest() == (file.blob or file.sha256):
        return ""
    if content[:4096].lstrip(BEFORE_MARKUP).startswith(b"<"):
        return WEB_PAGE
    if content and _as_packed(file) and not content.startswith(GZIP):
        return "is no gzip file, something may have unpacked it on the way: save it as it is"
    if len(content) != expected:
        what = "truncated" if len(content) < expected else "too long"
        return f"is {what}: {len(content):,} bytes, expected {expected:,}"
    kind = "git blob" if file.blob else "SHA-256"
    return f"is altered: {kind} {found.hexdigest()}, expected {file.blob or file.sha256}"


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
            _receive(file.url, part, bar)
        try:
            content = _checked(part, file)
        except DataError as error:
            raise DataError(f"what came {error}") from error
        if not file.unpacked and part.stat().st_size != file.size:  # packed for the way
            part.write_bytes(content)
        os.replace(part, path)
    return path, content


def _receive(url: str, part: Path, bar: tqdm) -> None:
    """Write what a server sends, as it comes.

    Some servers say of every .gz file that they have packed it for the way. So nothing is unpacked here.
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
