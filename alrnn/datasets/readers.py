"""The data sets as arrays and texts, and the tables of results."""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .fetch import DataError, folders, obtain
from .registry import REGISTRY

if TYPE_CHECKING:
    import pandas as pd

LARGEST_REVIEW = 1 << 20  # bytes; the longest real one has under 14 kB


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bundled digits, sorted by class: images (5000, 28, 28), 0 (paper) to 255 (ink), labels (5000,), 0 to 9."""
    arrays = _arrays("digits")
    return arrays["images"], arrays["labels"].astype(np.int64)


def mnist(split: str = "train") -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All of MNIST in its published order: images (n, 28, 28), 0 (paper) to 255 (ink), and labels (n,), 0 to 9.

    n is 60,000 for the split "train" and 10,000 for "test".
    """
    first = {"train": 0, "test": 2}[_known(split)]
    images, labels = (_read_idx(obtain("mnist", file)[1]) for file in REGISTRY["mnist"].files[first : first + 2])
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
    path, archive = obtain("imdb", REGISTRY["imdb"].files[0])
    try:
        reviews = _reviews(archive, split)
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"imdb: {path} cannot be read as an archive of reviews: {error}") from error
    order = sorted(reviews)
    return [reviews[key] for key in order], np.array([label for label, _ in order], np.int64)


def shakespeare() -> str:
    """Tiny Shakespeare, 1,115,394 characters, one byte each."""
    return obtain("shakespeare", REGISTRY["shakespeare"].files[0])[1].decode("ascii")


def wikitext2(part: str) -> list[str]:
    """The words of WikiText-2's part "train", "valid" or "test" in order, "<eos>" at the end of each line."""
    if part not in ("train", "valid", "test"):
        raise ValueError(f"part must be 'train', 'valid' or 'test', not {part!r}")
    name = "wikitext-2-train" if part == "train" else "wikitext-2"
    text = obtain(name, REGISTRY[name].files[part == "test"])[1].decode("utf-8")
    return [word for line in text.splitlines() for word in [*line.split(), "<eos>"]]


def results(name: str) -> pd.DataFrame:
    """A table of the full-size runs, data/results/NAME.csv, with the settings of every row."""
    import pandas as pd

    if name not in (tables := result_tables()):
        raise DataError(f"There are no results {name!r} in {_results()}; known are {', '.join(tables) or 'none'}.")
    return pd.read_csv(_results() / f"{name}.csv")


def result_tables() -> list[str]:
    """The names that `results` knows, sorted."""
    return sorted(path.stem for path in _results().glob("*.csv"))


def _known(split: str) -> str:
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    return split


def _results() -> Path:
    return folders()["bundled"] / "results"


def _arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(obtain(name, REGISTRY[name].files[0])[1]), allow_pickle=False) as archive:
        return dict(archive)


def _read_idx(content: bytes) -> NDArray[np.uint8]:
    """An idx file: two zero bytes, the type (8: uint8), the number of dimensions, the big-endian sizes, the values."""
    dimensions = content[3]
    shape = np.frombuffer(content, ">i4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape).copy()


def _reviews(archive: bytes, split: str) -> dict[tuple[int, int], str]:
    """(label, number) -> text of each review of a split.

    Only regular files whose whole name is that of a review are read, into memory; links, devices and all other paths
    are passed over, and no name from the archive ever reaches the file system.
    """
    review = re.compile(rf"aclImdb/{split}/(neg|pos)/([0-9]{{1,9}})_[0-9]{{1,2}}\.txt")
    found: dict[tuple[int, int], str] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r|*") as members:
        for member in members:
            match = review.fullmatch(member.name)
            if match is None or not member.isreg():
                continue
            if member.size > LARGEST_REVIEW:
                raise tarfile.TarError(f"{member.name} has {member.size:,} bytes, far more than any review")
            key = (int(match[1] == "pos"), int(match[2]))
            if key in found:
                raise tarfile.TarError(f"{member.name} is there twice")
            found[key] = members.extractfile(member).read().decode("utf-8")  # type: ignore[union-attr]  # it is regular
    if not found:
        raise tarfile.TarError("it holds no reviews")
    return found
