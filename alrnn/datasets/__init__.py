"""Real data: bundled with the package, from a local folder, or from a checksummed download.

Every file is looked for in this order: the bundled folder `data/`, the folder named by the environment variable
ALRNN_DATA, the user's cache, and at last the public address it comes from. Its SHA-256 is checked each time it is read;
a file that differs is refused (`DataError`). Nothing is unpickled and no archive is unpacked to disk.
"""

import contextlib
import gzip
import hashlib
import io
import lzma
import os
import re
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pooch  # type: ignore[import-untyped]
from numpy.typing import NDArray
from tqdm import tqdm  # type: ignore[import-untyped]

from .registry import REGISTRY, DataFile, DataSet

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "REGISTRY",
    "DataError",
    "DataFile",
    "DataSet",
    "describe",
    "digits",
    "fetch",
    "imdb",
    "mnist",
    "result_tables",
    "results",
    "spoken_digits",
]

LARGEST_REVIEW = 1 << 20  # bytes; the longest real one has under 14 kB
ABANDONED = 24 * 3600  # seconds after which a part of a download cannot be in use any more


class DataError(RuntimeError):
    """A data file is missing, truncated, altered or out of reach; the message says where it was sought, what to do."""


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bundled digits, sorted by class: images (5000, 28, 28), 0 (paper) to 255 (ink), labels (5000,), 0 to 9."""
    arrays = _arrays("digits")
    return arrays["images"], arrays["labels"].astype(np.int64)


def mnist(split: str = "train") -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All of MNIST in its published order: images (n, 28, 28), 0 (paper) to 255 (ink), and labels (n,), 0 to 9.

    n is 60,000 for the split "train" and 10,000 for "test".
    """
    first = {"train": 0, "test": 2}[_known(split)]
    images, labels = (_read_idx(_obtain("mnist", file)[1]) for file in REGISTRY["mnist"].files[first : first + 2])
    return images, labels.astype(np.int64)


def spoken_digits() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """The bundled spoken digits: MFCCs (3000, 92, 13), lengths (3000,) of 6 to 92 frames, labels (3000,), 0 to 9.

    The MFCCs of recording i are in [i, :lengths[i]]; the rest is zero. The source does not name the speakers.
    """
    arrays = _arrays("spoken-digits")
    lengths, frames = arrays["lengths"].astype(np.int64), arrays["X"]
    mfccs = np.zeros((len(lengths), lengths.max(), frames.shape[1]), np.float32)
    mfccs[np.arange(lengths.max()) < lengths[:, None]] = frames  # both run through recordings, then frames
    return mfccs, lengths, arrays["y"].astype(np.int64)


def imdb(split: str = "train") -> tuple[list[str], NDArray[np.int64]]:
    """The film reviews: 25,000 texts as written (with HTML line breaks) and labels (25000,), 1 favourable, 0 not.

    `split` is "train" or "test". Unfavourable reviews come first, each half in the order of the published numbers.
    As published, some texts occur twice, and 123 are in both splits: leave those out where that matters.
    """
    _known(split)
    path, archive = _obtain("imdb", REGISTRY["imdb"].files[0])
    try:
        reviews = dict(_reviews(archive, split))
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"imdb: {path} cannot be read as an archive of reviews: {error}") from error
    order = sorted(reviews)
    return [reviews[key] for key in order], np.array([label for label, _ in order], np.int64)


def results(name: str) -> "pd.DataFrame":
    """A table of the full-size runs, data/results/NAME.csv, with the settings of every row."""
    import pandas as pd

    tables = result_tables()
    if name not in tables:
        raise DataError(f"There are no results {name!r} in {_results()}; known are {', '.join(tables) or 'none'}.")
    return pd.read_csv(_results() / f"{name}.csv")


def result_tables() -> list[str]:
    """The names that `results` knows, sorted."""
    return sorted(path.stem for path in _results().glob("*.csv"))


def fetch(name: str) -> list[Path]:
    """Make sure that all files of a data set are at hand and unaltered, downloading what is missing; their paths."""
    if name not in REGISTRY:
        raise DataError(f"There is no data set {name!r}; known are {', '.join(REGISTRY)}.")
    return [_obtain(name, file)[0] for file in REGISTRY[name].files]


def describe() -> "pd.DataFrame":
    """One row a data set: name, content, size (MB, as published), where it is now, licence, citation, home.

    "Where" is looked up without reading the files: bundled, ALRNN_DATA, cache, or "not here" if any file is missing.
    """
    import pandas as pd

    rows = []
    for entry in REGISTRY.values():
        found = [_present(file) for file in entry.files]
        rows.append(
            {
                "name": entry.name,
                "content": entry.content,
                "size": round(sum(file.size for file in entry.files) / 1e6, 1),
                "where": "not here" if None in found else ", ".join(dict.fromkeys(place for place in found if place)),
                "licence": entry.licence,
                "citation": entry.citation,
                "home": entry.home,
            }
        )
    return pd.DataFrame(rows)


def _known(split: str) -> str:
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    return split


def _folders() -> dict[str, Path]:
    """Where files are looked for, in order; without ALRNN_DATA its place is left out."""
    package = Path(__file__).parents[1]
    inside = package / "data"  # in a wheel; in a checkout data/ stands beside the package
    folders = {"bundled": inside if inside.is_dir() else package.parent / "data"}
    if os.environ.get("ALRNN_DATA"):
        folders["ALRNN_DATA"] = Path(os.environ["ALRNN_DATA"]).expanduser().absolute()
    return folders | {"cache": Path(pooch.os_cache("alrnn"))}


def _results() -> Path:
    return _folders()["bundled"] / "results"


def _present(file: DataFile) -> str | None:
    """The first place that holds the file or its stand-in, unread."""
    forms = (file, *file.also)
    return next(
        (place for place, folder in _folders().items() if any(os.path.exists(folder / form.path) for form in forms)),
        None,
    )


def _obtain(name: str, file: DataFile) -> tuple[Path, bytes]:
    """Path and checked content of a file (unpacked if the registry says so), from the first place that has it."""
    looked = []
    for place, folder in _folders().items():
        for form in (file, *file.also):
            path = folder / form.path
            if not os.path.exists(path):  # also False where the folder may not be read
                looked.append(f"{path} ({place}): not there")
                continue
            try:
                return path, _checked(path, form)
            except DataError as error:
                if place != "cache":  # somebody put it there: do not pass over it in silence
                    raise DataError(f"{name}: {error}\nReplace the file, or remove it to look elsewhere.") from error
                looked.append(str(error))
    if "ALRNN_DATA" not in _folders():
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
    try:
        with gzip.open(path) if file.unpacked else path.open("rb") as stream:
            content = stream.read((file.unpacked or file.size) + 1)  # no more is wanted, whatever it swells to
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read, it may be truncated: {error}") from error
    expected = file.unpacked or file.size
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
    path = _folders()["cache"] / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    for part in path.parent.glob("part-*"):
        with contextlib.suppress(OSError):  # another process was first
            if time.time() - part.stat().st_mtime > ABANDONED:
                shutil.rmtree(part, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="part-", dir=path.parent) as own:
        part = Path(own) / path.name
        with tqdm(desc=path.name, total=file.size, unit="B", unit_scale=True) as bar:
            pooch.HTTPDownloader(progressbar=bar, headers={"Accept-Encoding": "identity"})(file.url, str(part), None)
        content = _checked(part, file)
        os.replace(part, path)
    return path, content


def _arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(_obtain(name, REGISTRY[name].files[0])[1]), allow_pickle=False) as archive:
        return dict(archive)


def _read_idx(content: bytes) -> NDArray[np.uint8]:
    """An idx file: two zero bytes, the type (8: uint8), the number of dimensions, the big-endian sizes, the values."""
    dimensions = content[3]
    shape = np.frombuffer(content, ">i4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape).copy()


def _reviews(archive: bytes, split: str) -> Iterator[tuple[tuple[int, int], str]]:
    """((label, number), text) of each review of a split.

    Only regular files whose whole name is that of a review are read, into memory; links, devices and all other paths
    are passed over, and no name from the archive ever reaches the file system.
    """
    review = re.compile(rf"aclImdb/{split}/(neg|pos)/([0-9]{{1,9}})_[0-9]{{1,2}}\.txt")
    seen = set()
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r|*") as members:
        for member in members:
            match = review.fullmatch(member.name)
            if match is None or not member.isreg():
                continue
            if member.size > LARGEST_REVIEW:
                raise tarfile.TarError(f"{member.name} has {member.size:,} bytes, far more than any review")
            key = (int(match[1] == "pos"), int(match[2]))
            if key in seen:
                raise tarfile.TarError(f"{member.name} is there twice")
            seen.add(key)
            content = members.extractfile(member)
            assert content is not None  # a regular file has content
            yield key, content.read().decode("utf-8")
    if not seen:
        raise tarfile.TarError("it holds no reviews")
