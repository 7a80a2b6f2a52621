"""Loaders of real data: what they return, and that no fault ever yields wrong data or an unclear error.

Faults are made with small data sets of the tests' own and a server on this machine; nothing here uses the network.
"""

import copy
import gzip
import hashlib
import importlib
import io
import os
import pickle
import socket
import struct
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as hnp

from alrnn import datasets, tasks
from alrnn.datasets import DataError, DataFile, DataSet, readers

fetching = importlib.import_module("alrnn.datasets.fetch")  # the module; `datasets.fetch` is its function

ROOT = Path(__file__).resolve().parent.parent
CONTENT = bytes(range(256)) * 64
MNIST_MD5 = {  # of the unpacked files, as the publishers give them
    "train": ("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
    "test": ("2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
}


def local(name: str) -> pytest.MarkDecorator:
    """Skip unless ALRNN_DATA holds the data set: these tests never download."""
    folder = Path(os.environ.get("ALRNN_DATA") or "/nonexistent")
    there = all(
        any((folder / form.path).exists() for form in (file, *file.also)) for file in datasets.REGISTRY[name].files
    )
    return pytest.mark.skipif(not there, reason=f"set ALRNN_DATA to a folder that holds {name}")


class Server:
    """Answers every request with `reply`, a function of the handler; counts the requests."""

    def __init__(self) -> None:
        self.reply: Callable[[BaseHTTPRequestHandler], None] = lambda handler: send(handler, CONTENT)
        self.requests = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                outer.reply(self)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/tiny.bin"


def send(handler: BaseHTTPRequestHandler, content: bytes, length: int | None = None, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content) if length is None else length))
    handler.end_headers()
    handler.wfile.write(content)


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


@pytest.fixture
def places(tmp_path, monkeypatch) -> dict[str, Path]:
    """Three empty places to look in: bundled, ALRNN_DATA (set) and the cache."""
    places = {name: tmp_path / name for name in ("alrnn", "local", "cache")}
    (places["alrnn"] / "data").mkdir(parents=True)
    places["local"].mkdir()
    monkeypatch.setattr(fetching, "__file__", str(places["alrnn"] / "datasets" / "fetch.py"))
    monkeypatch.setattr(pooch, "os_cache", lambda name: places["cache"])
    monkeypatch.setenv("ALRNN_DATA", str(places["local"]))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return {"bundled": places["alrnn"] / "data", "local": places["local"], "cache": places["cache"]}


def register(monkeypatch, *files: DataFile, name: str = "tiny") -> None:
    monkeypatch.setitem(datasets.REGISTRY, name, DataSet(name, "made up", "none", "nobody", "nowhere", files))


def described(path: str, content: bytes, url: str = "") -> DataFile:
    return DataFile(path, len(content), hashlib.sha256(content).hexdigest(), url)


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def tiny(server, places, monkeypatch) -> DataFile:
    """One registered file, 16 kB, offered by the local server."""
    file = described("sub/tiny.bin", CONTENT, server.url)
    register(monkeypatch, file)
    return file


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# The real data


def test_bundled_files_are_those_of_the_registry_and_the_readme():
    readme = (ROOT / "data" / "README.md").read_text()
    bundled = [file for entry in datasets.REGISTRY.values() for file in entry.files if not file.url]
    assert len(bundled) == 4
    for file in bundled:
        content = (ROOT / "data" / file.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
        assert file.sha256 in readme and f"{file.size:,}" in readme and file.path in readme
    assert sum(path.stat().st_size for path in (ROOT / "data").rglob("*") if path.is_file()) < 10_000_000
    for entry in datasets.REGISTRY.values():
        assert entry.licence and entry.citation and entry.home.startswith("http")
        assert all(len(bytes.fromhex(file.blob or file.sha256)) == (20 if file.blob else 32) for file in entry.files)


def test_digits():
    images, labels = datasets.digits()
    assert images.shape == (5000, 28, 28) and images.dtype == np.uint8
    assert labels.dtype == np.int64 and np.array_equal(labels, np.repeat(np.arange(10), 500))
    assert images.min() == 0 and images.max() == 255 and len({image.tobytes() for image in images}) == 5000
    assert (images[:, 12:16, 12:16].mean() > 10 * images[:, [0, 27]].mean()).all()  # ink in the middle, not at the rim
    again, _ = datasets.digits()
    images[:] = 0  # the arrays are the caller's own
    assert again.any()


def test_spoken_digits():
    mfccs, lengths, labels = datasets.spoken_digits()
    assert mfccs.shape == (3000, 92, 13) and mfccs.dtype == np.float32
    assert lengths.dtype == labels.dtype == np.int64 and np.array_equal(np.bincount(labels), [300] * 10)
    assert lengths.min() == 6 and lengths.max() == 92 and lengths.sum() == 53999
    with np.load(ROOT / "data" / "spoken-digits.npz", allow_pickle=False) as raw:
        recordings = np.split(raw["X"], np.cumsum(raw["lengths"])[:-1])
    for padded, length, recording in zip(mfccs, lengths, recordings, strict=True):
        assert np.array_equal(padded[:length], recording) and not padded[length:].any()


@local("mnist")
@pytest.mark.parametrize(("split", "n"), [("train", 60000), ("test", 10000)])
def test_mnist(split, n):
    images, labels = datasets.mnist(split)
    assert images.shape == (n, 28, 28) and images.dtype == np.uint8 and images.flags.writeable
    assert labels.shape == (n,) and labels.dtype == np.int64 and set(labels) == set(range(10))
    raw = struct.pack(">iiii", 2051, n, 28, 28) + images.tobytes()
    assert hashlib.md5(raw).hexdigest() == MNIST_MD5[split][0]
    raw = struct.pack(">ii", 2049, n) + labels.astype(np.uint8).tobytes()
    assert hashlib.md5(raw).hexdigest() == MNIST_MD5[split][1]


@local("mnist")
def test_bundled_digits_are_from_the_training_set_alone():
    known = {image.tobytes(): label for image, label in zip(*datasets.mnist("train"), strict=True)}
    images, labels = datasets.digits()
    assert [known[image.tobytes()] for image in images] == labels.tolist()
    assert not {image.tobytes() for image in datasets.mnist("test")[0]} & {image.tobytes() for image in images}


@local("imdb")
def test_imdb():
    train, labels = datasets.imdb("train")
    assert np.array_equal(labels, np.repeat([0, 1], 12500)) and labels.dtype == np.int64
    test, labels = datasets.imdb("test")
    assert np.array_equal(labels, np.repeat([0, 1], 12500))
    assert all(isinstance(text, str) and 30 < len(text) < 14000 for text in train + test)
    assert len(set(train) & set(test)) == 123  # as the docstring says
    awful, great = (sum(word in text.lower() for text in test[12500:]) / 12500 for word in ("awful", "excellent"))
    assert awful < 0.05 < great  # the favourable half is the favourable one


def test_describe_lists_what_is_where(places):
    table = datasets.describe().set_index("name")
    assert list(table.index) == list(datasets.REGISTRY)
    assert (table["where"] == "not here").all()
    for file in datasets.REGISTRY["mnist"].files:
        assert datasets.describe().set_index("name").at["mnist", "where"] == "not here"  # while one is missing
        put(places["cache"] / file.path, b"")
    put(places["local"] / "aclImdb.tar.xz", b"")
    put(places["bundled"] / "digits.npz", b"")
    where = datasets.describe().set_index("name")["where"]
    found = {"digits": "bundled", "mnist": "cache", "spoken-digits": "not here", "imdb": "ALRNN_DATA"}
    others = ["reviews", "two-step", "two-step-spikes", "shakespeare", "wikitext-2", "wikitext-2-train"]
    assert where.to_dict() == found | dict.fromkeys(others, "not here")


def test_bundled_folder_beside_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "__file__", str(tmp_path / "alrnn" / "datasets" / "fetch.py"))
    assert fetching.folders()["bundled"] == tmp_path / "data"  # a checkout
    (tmp_path / "alrnn" / "data").mkdir(parents=True)
    assert fetching.folders()["bundled"] == tmp_path / "alrnn" / "data"  # an installed wheel


@pytest.mark.parametrize("load", [datasets.mnist, datasets.imdb])
def test_unknown_split(load):
    with pytest.raises(ValueError, match="'train' or 'test', not 'valid'"):
        load("valid")


def test_a_file_known_by_its_git_blob():
    """As `git hash-object` names it: the one of "hello" and a newline is in every tutorial."""
    file = DataFile("hello.txt", 6, blob="ce013625030ba8dba906f756967f9e9ca394464a")
    assert fetching._fault(b"hello\n", file) == ""
    assert "is altered: git blob" in fetching._fault(b"jello\n", file)
    assert "truncated" in fetching._fault(b"hell\n", file)


def test_unknown_name():
    with pytest.raises(DataError, match="no data set 'minst'; known are digits, mnist"):
        datasets.fetch("minst")


# Reading


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5)))
def test_read_idx(array):
    raw = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()
    read = readers._read_idx(raw)
    assert np.array_equal(read, array) and read.shape == array.shape and read.dtype == np.uint8


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_nothing_is_unpickled(places, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    stream = io.BytesIO()
    np.savez(stream, images=np.array([Bomb()], dtype=object), labels=np.zeros(1, np.uint8))
    register(monkeypatch, described("digits.npz", stream.getvalue()), name="digits")
    put(places["local"] / "digits.npz", stream.getvalue())
    with pytest.raises(ValueError, match="allow_pickle=False"):
        datasets.digits()
    assert not Path("unpickled").exists()
    pickle.loads(pickle.dumps(Bomb()))
    assert Path("unpickled").exists()  # the bomb does go off where things are unpickled


def member(name: str, content: bytes = b"fine", **fields) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


REVIEWS = (
    member("aclImdb/train/pos/10_8.txt", "great — caf\u00e9".encode()),
    member("aclImdb/train/pos/9_10.txt", b"good"),
    member("aclImdb/train/neg/0_1.txt", b"bad"),
    member("aclImdb/test/neg/0_2.txt", b"worse"),
    member("aclImdb/train/unsup/0_0.txt", b"unlabelled"),
    member("aclImdb/README", b"read me"),
)


def register_imdb(monkeypatch, places, archive: bytes, path: str = "aclImdb_v1.tar.gz") -> None:
    register(monkeypatch, described(path, archive), name="imdb")
    put(places["local"] / path, archive)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2", "w"])
def test_imdb_reads_any_compression_in_a_fixed_order(mode, places, monkeypatch):
    for members in (REVIEWS, REVIEWS[::-1]):
        register_imdb(monkeypatch, places, tar(*members, mode=mode))
        texts, labels = datasets.imdb("train")
        assert texts == ["bad", "good", "great — café"] and labels.tolist() == [0, 1, 1]
        texts, labels = datasets.imdb("test")
        assert texts == ["worse"] and labels.tolist() == [0]


def test_imdb_takes_the_smaller_archive_in_its_place(places, monkeypatch):
    archive = tar(*REVIEWS, mode="w:xz")
    small = described("aclImdb.tar.xz", archive)
    register(monkeypatch, DataFile("aclImdb_v1.tar.gz", 1, "0" * 64, also=(small,)), name="imdb")
    path = put(places["local"] / small.path, archive)
    assert datasets.imdb("test")[0] == ["worse"] and datasets.fetch("imdb") == [path]


def test_imdb_trusts_no_path_and_follows_no_link(places, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "secret", b"secret")
    evil = [
        member(name)
        for name in (
            "../aclImdb/train/pos/1_8.txt",
            "/aclImdb/train/pos/1_8.txt",
            f"{tmp_path}/written",
            "../../written",
            "aclImdb/train/pos/../../../../written",
            "aclImdb/train/pos/../neg/1_8.txt",
            "aclImdb/train/pos/1_8.txt/written",
            "aclImdb/train/pos/1_8.txt\n",
            "x/aclImdb/train/pos/1_8.txt",
            "aclImdb/train/pos/٣_8.txt",
        )
    ]
    for number, kind in enumerate(
        (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)
    ):
        evil.append(member(f"aclImdb/train/pos/{number}_7.txt", b"", type=kind, linkname=str(tmp_path / "secret")))
    evil.append(member("aclImdb/train/neg", b"", type=tarfile.SYMTYPE, linkname=str(tmp_path)))
    register_imdb(monkeypatch, places, tar(*evil, *REVIEWS))
    before = everything_below(tmp_path.parent)
    assert datasets.imdb("train")[0] == ["bad", "good", "great — café"]
    assert everything_below(tmp_path.parent) == before


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (tar(*REVIEWS, member("aclImdb/train/neg/1_1.txt", bytes(readers.LARGEST_REVIEW + 1))), "far more than any"),
        (tar(*REVIEWS, member("aclImdb/train/neg/0_3.txt")), "there twice"),
        (tar(*REVIEWS, member("aclImdb/train/neg/1_1.txt", b"\xff\xfe")), "utf-8"),
        (tar(REVIEWS[-1]), "no reviews"),
        (tar(*REVIEWS)[:150], "cannot be read"),
        (tar(*REVIEWS, mode="w:xz")[:100], "cannot be read"),
        (tar(*REVIEWS, mode="w")[:2000], "cannot be read"),
        (b"no archive at all", "cannot be read"),
    ],
)
def test_imdb_refuses_what_cannot_be_right(archive, reason, places, monkeypatch):
    register_imdb(monkeypatch, places, archive)
    with pytest.raises(DataError, match=reason) as raised:
        datasets.imdb("train")
    assert "aclImdb_v1.tar.gz" in str(raised.value)


def test_a_sparse_member_is_measured_by_what_it_unfolds_to(places, monkeypatch):
    # 512 bytes stored, 1 GiB claimed: the old GNU sparse header, written by hand since tarfile does not write it
    header = bytearray(member("aclImdb/train/neg/1_1.txt", bytes(512))[0].tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[386:410] = b"%011o\0%011o\0" % (0, 512)
    header[483:495] = b"%011o\0" % (1 << 30)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    archive = gzip.compress(bytes(header) + bytes(512) + bytes(1024))
    register_imdb(monkeypatch, places, archive)
    with pytest.raises(DataError, match="1,073,741,824 bytes, far more"):
        datasets.imdb("train")


# Where files come from


def test_order_bundled_local_cache_download(tiny, places, server):
    assert datasets.fetch("tiny") == [places["cache"] / tiny.path]
    assert (places["cache"] / tiny.path).read_bytes() == CONTENT and server.requests == 1
    assert datasets.fetch("tiny") == [places["cache"] / tiny.path] and server.requests == 1
    for place in ("local", "bundled"):
        path = put(places[place] / tiny.path, CONTENT)
        assert datasets.fetch("tiny") == [path]
    assert server.requests == 1


def test_a_recompressed_file_is_as_good(server, places, monkeypatch):
    digest = hashlib.sha256(CONTENT).hexdigest()
    packed = gzip.compress(CONTENT, 9)
    register(monkeypatch, DataFile("tiny.gz", len(packed), digest, server.url, len(CONTENT)))
    path = put(places["local"] / "tiny.gz", gzip.compress(CONTENT, 1))
    assert fetching.obtain("tiny", datasets.REGISTRY["tiny"].files[0]) == (path, CONTENT)
    path.unlink()
    server.reply = lambda handler: send(handler, packed)
    assert fetching.obtain("tiny", datasets.REGISTRY["tiny"].files[0]) == (places["cache"] / "tiny.gz", CONTENT)


@pytest.fixture
def packed(server, places, monkeypatch) -> DataFile:
    """A registered gzip file, known by what is in it, offered by the local server."""
    content = gzip.compress(CONTENT, mtime=0)
    digest = hashlib.sha256(CONTENT).hexdigest()
    file = DataFile("sub/tiny.gz", len(content), digest, server.url, len(CONTENT), elsewhere=("TINY/raw", "raw"))
    register(monkeypatch, file)
    return file


def labelled(content, label, length=None):
    """A reply that says that its content was packed for the way."""

    def reply(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content) if length is None else length))
        handler.send_header("Content-Encoding", label)
        handler.end_headers()
        handler.wfile.write(content)

    return reply


@pytest.fixture
def archive(server, places, monkeypatch) -> DataFile:
    """A registered gzip file, known by itself, as archives are; what is in it is larger than it."""
    file = described("sub/tiny.tar.gz", gzip.compress(CONTENT, mtime=0), server.url)
    register(monkeypatch, file)
    return file


LABELS = ["gzip", "x-gzip", "GZIP", "identity"]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_server_that_labels_a_gz_as_packed_for_the_way(packed, places, server, label, times):
    """Wrongly, of the file as it is, or rightly, of a file packed once more; or somebody has unpacked it between."""
    content = CONTENT
    for _ in range(times):
        content = gzip.compress(content, mtime=0)
    server.reply = labelled(content, label)
    assert fetching.obtain("tiny", packed) == (places["cache"] / packed.path, CONTENT)
    assert fetching.obtain("tiny", packed)[1] == CONTENT and server.requests == 1


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("times", [0, 1])
@pytest.mark.parametrize("kind", ["tiny", "archive"])
def test_a_file_known_by_itself_is_kept_as_it_was_before_the_way(kind, times, label, request, places, server):
    file = request.getfixturevalue(kind)
    content = CONTENT if kind == "tiny" else gzip.compress(CONTENT, mtime=0)
    server.reply = labelled(gzip.compress(content) if times else content, label)
    assert fetching.obtain("tiny", file) == (places["cache"] / file.path, content)
    assert (places["cache"] / file.path).read_bytes() == content


def in_chunks(content, stop=None):
    """A reply under that label that does not say how long it is; with `stop` it ends there, short of its last chunk."""

    def reply(handler):
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(content[:stop]), 100):
            piece = content[:stop][start : start + 100]
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if stop is None:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return reply


def test_an_answer_in_chunks(packed, places, server):
    content = gzip.compress(CONTENT, mtime=0)
    server.reply = in_chunks(content, -150)
    with pytest.raises(DataError, match="IncompleteRead|ended prematurely"):
        datasets.fetch("tiny")
    assert everything_below(places["cache"]) == ["sub"]
    server.reply = in_chunks(content)
    assert fetching.obtain("tiny", packed) == (places["cache"] / packed.path, CONTENT)


PAGE = b"<html>Log in first</html>"
LOGIN = {
    "plain": PAGE,
    "doctype": b"\r\n<!doctype html>" + PAGE,
    "XHTML": b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN">' + PAGE,
    "an error of a store": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "a comment first": b"<!-- (c) -->" + PAGE,
    "no html tag": b"<head><title>Log in</title></head>",
    "blanks first": b"\n" * 300 + PAGE,
    "a byte order mark": b"\xef\xbb\xbf" + PAGE,
    "UTF-16": PAGE.decode().encode("utf-16"),
    "packed": gzip.compress(PAGE),
    "longer than the file": PAGE + bytes(2 * len(CONTENT)),
    "as long as the file": PAGE + bytes(len(CONTENT) - len(PAGE)),
}


@pytest.mark.parametrize("page", LOGIN.values(), ids=list(LOGIN))
@pytest.mark.parametrize("kind", ["tiny", "packed", "archive"])
def test_a_web_page_in_place_of_the_file(page, kind, request, places, server):
    """Downloaded, under a label or not, or saved by hand."""
    file = request.getfixturevalue(kind)
    for reply in (labelled(page, "gzip"), lambda handler: send(handler, page)):
        server.reply = reply
        with pytest.raises(DataError, match=f"{server.url}: what came is a web page, .* and not the file") as raised:
            datasets.fetch("tiny")
        assert "truncated" not in str(raised.value) and "part-" not in str(raised.value)
    assert everything_below(places["cache"]) == ["sub"]
    path = put(places["local"] / file.path, page)
    with pytest.raises(DataError, match=f"{path} is a web page, .* and not the file\nReplace it") as raised:
        datasets.fetch("tiny")
    assert "truncated" not in str(raised.value)


def test_what_only_looks_like_a_web_page_is_taken_if_it_is_the_file(places, monkeypatch):
    register(monkeypatch, described("tiny.svg", PAGE))
    path = put(places["local"] / "tiny.svg", PAGE)
    assert datasets.fetch("tiny") == [path]


@pytest.mark.parametrize(
    ("content", "length", "reason"),
    [
        (gzip.compress(CONTENT[:-1] + b"x", mtime=0), None, "altered"),
        (gzip.compress(CONTENT, mtime=0)[:-20], None, "may be truncated"),
        (gzip.compress(CONTENT, mtime=0)[:-20], 500, "IncompleteRead|may be truncated"),
        (gzip.compress(gzip.compress(CONTENT[:-9], mtime=0), mtime=0), None, "is truncated: 16,375"),
        (gzip.compress(gzip.compress(CONTENT, mtime=0), mtime=0)[:-20], None, "may be truncated"),
        (gzip.compress(CONTENT + b"x", mtime=0), None, "too long"),
        (b"nonsense", None, "truncated: 8 bytes"),
        (b"", None, "truncated: 0 bytes"),
    ],
)
@pytest.mark.parametrize("label", LABELS[:2])
def test_faults_under_such_a_label(packed, places, server, content, length, reason, label):
    server.reply = labelled(content, label, length)
    with pytest.raises(DataError, match=reason):
        datasets.fetch("tiny")
    assert everything_below(places["cache"]) == ["sub"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(CONTENT, mtime=0)[:-20], "is truncated: [0-9]+ bytes"),
        (gzip.compress(CONTENT, mtime=0) + b"x", "is too long"),
        (gzip.compress(CONTENT, mtime=0)[:-1] + b"x", "is altered"),
        (CONTENT, "is no gzip file, something may have unpacked it on the way"),
        (b"", "is truncated: 0 bytes"),
    ],
)
@pytest.mark.parametrize("label", LABELS)
def test_faults_of_an_archive_are_those_of_the_archive(archive, places, server, content, reason, label):
    """Not of what would be in it, which may be much larger."""
    server.reply = labelled(content, label)
    with pytest.raises(DataError, match=f"what came {reason}"):
        datasets.fetch("tiny")
    put(places["local"] / archive.path, content)
    with pytest.raises(DataError, match=f"tiny.tar.gz {reason}"):
        datasets.fetch("tiny")


@pytest.mark.parametrize("place", ["local", "cache"])
@pytest.mark.parametrize("folder", ["sub", ".", "TINY/raw", "raw"])
@pytest.mark.parametrize("form", ["packed", "unpacked", "unpacked under the packed name"])
def test_a_file_that_is_there_already_is_taken_as_it_is(packed, places, server, place, folder, form):
    name = "tiny" if form == "unpacked" else "tiny.gz"
    path = put(places[place] / folder / name, gzip.compress(CONTENT, 1) if form == "packed" else CONTENT)
    assert fetching.obtain("tiny", packed) == (path, CONTENT) and server.requests == 0
    assert datasets.fetch("tiny") == [path]
    path.write_bytes(CONTENT[:-1] + b"x")
    if place == "local":  # not passed over in silence
        with pytest.raises(DataError, match=f"{path} is altered.*\n.*remove it to look elsewhere") as raised:
            datasets.fetch("tiny")
        first = places["local"] / packed.path
        assert (f"What is at {first} comes first" in str(raised.value)) == (path != first)
    path.write_bytes(b"  <html>\nLog in first")
    server.reply = lambda handler: send(handler, b"", status=503)
    with pytest.raises(DataError, match=f"{path} is a web page, .* and not the file"):
        datasets.fetch("tiny")


@local("mnist")
@pytest.mark.parametrize("form", ["packed", "unpacked", "unpacked under the packed name"])
@pytest.mark.parametrize("folder", ["mnist", ".", "MNIST/raw"])
def test_the_real_mnist_wherever_it_is(folder, form, tmp_path, monkeypatch):
    """The labels: the published files as others keep them; and one wrong bit is found."""
    expected = {split: datasets.mnist(split)[1] for split in ("train", "test")}
    for file in datasets.REGISTRY["mnist"].files:
        content = fetching.obtain("mnist", file)[1]
        name = Path(file.path).stem if form == "unpacked" else Path(file.path).name
        last = put(tmp_path / folder / name, gzip.compress(content, 1) if form == "packed" else content)
    monkeypatch.setenv("ALRNN_DATA", str(tmp_path))
    assert all(path.is_relative_to(tmp_path) for path in datasets.fetch("mnist"))
    assert all(np.array_equal(datasets.mnist(split)[1], labels) for split, labels in expected.items())
    last.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match=f"{last} is altered"):
        datasets.mnist("test")


def test_mnist_as_torchvision_keeps_it(places, monkeypatch):
    """Every registered file, below the folder, its MNIST or its raw, as ALRNN_DATA; the content made up."""
    files = datasets.REGISTRY["mnist"].files
    made = {file.path: put(places["local"] / "MNIST" / "raw" / Path(file.path).stem, CONTENT) for file in files}
    for folder in (places["local"], places["local"] / "MNIST", places["local"] / "MNIST" / "raw"):
        monkeypatch.setenv("ALRNN_DATA", str(folder))
        for file in files:
            known = DataFile(**vars(file) | {"unpacked": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()})
            assert fetching.obtain("mnist", known) == (made[file.path], CONTENT)
    assert datasets.describe().set_index("name").loc["mnist", "where"] == "ALRNN_DATA"


REVIEW = "good film bad plot dull scene fair actor superb camera".split()
READING = {  # every library task that reads registered data, and what it reads
    "spoken digits": (lambda: tasks.SpokenDigits(clips=5), ["parts", "frames_of", "mean", "scale"]),
    "digits": (lambda: tasks.SequentialMNIST("row", size=14), ["parts"]),
    "all of MNIST": (lambda: tasks.SequentialMNIST("pixel", data="mnist", permuted=True), ["parts"]),
    "reviews": (lambda: tasks.Sentiment(12, 5), ["parts", "texts", "words"]),
    "characters": (lambda: tasks.Characters(20, 4), ["parts", "stretches", "text"]),
    "words": (lambda: tasks.Words(12, 20, 4), ["parts", "stretches", "text", "known", "_words"]),
    "commands": (lambda: tasks.SCAN(mini=True), ["parts", "commands"]),
}


@pytest.fixture
def made_up(monkeypatch) -> None:
    """MNIST and reviews that are made up, in place of what may not be at hand."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60_000, 28, 28), np.uint8), rng.integers(0, 10, 60_000)
    texts, favourable = [f"{i} {' '.join(rng.choice(REVIEW, 7))}" for i in range(3000)], rng.integers(0, 2, 3000)
    part = {"train": slice(2900), "test": slice(2900, 3000)}
    monkeypatch.setattr(datasets, "mnist", lambda split: (images, labels))
    monkeypatch.setattr(datasets, "imdb", lambda split: (texts[part[split]], favourable[part[split]]))
    play, articles = "".join(rng.choice(list("ab c\n"), 120_000)), rng.choice(REVIEW, 900).tolist()
    monkeypatch.setattr(datasets, "shakespeare", lambda: play)
    monkeypatch.setattr(datasets, "wikitext2", lambda part: articles)


def equal(a: tasks.Batch, b: tasks.Batch) -> bool:
    """In all that two batches hold."""
    pairs = [(x.s, x.target, x.weight, x.at, *x.info.values()) for x in (a, b)]
    return a.info.keys() == b.info.keys() and all(
        y is None if x is None else torch.equal(x, y) for x, y in zip(*pairs, strict=True)
    )


@pytest.mark.parametrize("name", READING)
def test_no_pickled_task_carries_what_it_has_read(name, made_up):
    make, read = READING[name]
    task = make()
    assert not vars(task).keys() & {*read}, "nothing is read before it is asked for"
    drawn = task.sample(5, torch.Generator().manual_seed(0))
    held_out = {split: task.held_out(split, 5) for split in ("validation", "test")}
    had = {key: getattr(task, key) for key in read}
    for again in (pickle.loads(pickle.dumps(task)), copy.deepcopy(task)):
        assert vars(again) == {key: x for key, x in vars(task).items() if key not in read}
        assert again.settings() == task.settings()
        assert equal(again.sample(5, torch.Generator().manual_seed(0)), drawn)
        assert all(equal(again.held_out(split, 5), batch) for split, batch in held_out.items())
    assert len(pickle.dumps(task)) < 1000
    assert all(vars(task)[key] is x for key, x in had.items()), "what is here is not read again"


def test_every_task_on_recordings_is_among_these():
    kinds = {getattr(tasks, name) for name in tasks.__all__ if isinstance(getattr(tasks, name), type)}
    recorded = {kind for kind in kinds if issubclass(kind, tasks.Recorded) and not issubclass(kind, tasks.Arrays)}
    recorded -= {tasks.Recorded}
    assert recorded == {type(make()) for make, _ in READING.values()}


def test_parts_that_a_task_was_given_travel_with_it():
    class Own(tasks.Recorded):
        def __init__(self):
            self.parts = {"train": (torch.zeros(2),)}

    few = tasks.SequentialMNIST(size=14)
    few.parts = {split: tuple(x[:3] for x in part) for split, part in few.parts.items()}
    for task in (Own(), few):
        for again in (copy.deepcopy(task), copy.deepcopy(copy.copy(task))):
            assert [len(x) for x in again.parts["train"]] == [len(x) for x in task.parts["train"]]
    mine = tasks.Arrays([np.ones((4, 1), np.float32)] * 30, [0, 1] * 15)
    assert torch.equal(pickle.loads(pickle.dumps(mine)).held_out("test").s, mine.held_out("test").s)


def test_the_download_shows_its_progress(tiny, capsys):
    datasets.fetch("tiny")
    assert "tiny.bin: 100%" in capsys.readouterr().err


# Faults in files at hand


@pytest.mark.parametrize("place", ["bundled", "local"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CONTENT[:-1], "truncated: 16,383 bytes, expected 16,384"),
        (b"", "truncated: 0 bytes"),
        (CONTENT + b"x", "too long"),
        (CONTENT[:-1] + b"x", "altered: SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}"),
    ],
)
def test_a_wrong_file_is_refused(place, content, reason, tiny, places, server):
    path = put(places[place] / tiny.path, content)
    with pytest.raises(DataError, match=reason) as raised:
        datasets.fetch("tiny")
    assert str(path) in str(raised.value) and "Replace it" in str(raised.value)
    assert path.read_bytes() == content and server.requests == 0  # not passed over, not touched


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(CONTENT, mtime=0)[:-20], "may be truncated"),
        (gzip.compress(CONTENT, mtime=0)[:5], "may be truncated"),
        (b"no gzip", "truncated: 7 bytes"),
        (b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 20, "cannot be unpacked"),
        (gzip.compress(CONTENT[:-1], mtime=0), "truncated: 16,383"),
        (gzip.compress(bytes(1 << 24), mtime=0), "too long: 16,385 bytes"),  # unpacked no further than needed
    ],
)
def test_a_wrong_gzip_file_is_refused(content, reason, places, monkeypatch):
    file = DataFile("tiny.gz", 9, hashlib.sha256(CONTENT).hexdigest(), unpacked=len(CONTENT))
    register(monkeypatch, file)
    put(places["local"] / "tiny.gz", content)
    with pytest.raises(DataError, match=reason):
        datasets.fetch("tiny")


def test_a_folder_in_place_of_the_file(tiny, places):
    (places["local"] / tiny.path).mkdir(parents=True)
    with pytest.raises(DataError, match="cannot be read: .*Is a directory"):
        datasets.fetch("tiny")


def test_a_missing_bundled_file(places, monkeypatch):
    monkeypatch.delenv("ALRNN_DATA")
    with pytest.raises(DataError) as raised:
        datasets.digits()
    message = str(raised.value)
    assert f"{places['bundled'] / 'digits.npz'} (bundled): not there" in message
    assert "ALRNN_DATA is not set" in message and "install it anew" in message


# Faults on the way


def no_answer(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (lambda handler: send(handler, b"gone", status=404), "404"),
        (lambda handler: send(handler, b"oops", status=503), "503"),
        (lambda handler: send(handler, b"\n<!DOCTYPE html><p>log in first"), "is a web page, .* and not the file"),
        (lambda handler: send(handler, CONTENT[:-1] + b"x"), "altered"),
        (lambda handler: send(handler, CONTENT + b"x"), "too long"),
        (lambda handler: send(handler, CONTENT[:5000], length=len(CONTENT)), r"IncompleteRead|truncated"),
        (no_answer, "Connection|Remote"),
    ],
)
def test_a_failed_download_leaves_nothing_and_says_what_to_do(reply, reason, tiny, places, server):
    server.reply = reply
    with pytest.raises(DataError, match=reason) as raised:
        datasets.fetch("tiny")
    message = str(raised.value)
    for place in ("bundled", "local", "cache"):
        assert f"{places[place] / tiny.path} (" in message
    assert f"Fetch {server.url} by hand, save it as FOLDER/sub/tiny.bin and set ALRNN_DATA=FOLDER" in message
    assert everything_below(places["cache"]) == ["sub"]
    server.reply = lambda handler: send(handler, CONTENT)
    assert datasets.fetch("tiny") == [places["cache"] / tiny.path]  # and the next attempt starts afresh


def test_no_network(places, monkeypatch):
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        register(monkeypatch, described("tiny.bin", CONTENT, f"http://127.0.0.1:{taken.getsockname()[1]}/tiny.bin"))
        with pytest.raises(DataError, match="refused.*\n.*by hand"):
            datasets.fetch("tiny")
    assert everything_below(places["cache"]) == []


def test_an_altered_file_in_the_cache_is_fetched_again(tiny, places, server):
    path = put(places["cache"] / tiny.path, CONTENT[::-1])
    server.reply = lambda handler: send(handler, b"", status=500)
    with pytest.raises(DataError, match=r"(?s)altered.*500"):
        datasets.fetch("tiny")
    server.reply = lambda handler: send(handler, CONTENT)
    assert datasets.fetch("tiny") == [path] and path.read_bytes() == CONTENT


def test_a_cache_that_cannot_be_made(tiny, places, server):
    put(places["cache"], b"a file where the folder should be")
    with pytest.raises(DataError, match=r"(?s)exists|Not a directory.*ALRNN_DATA=FOLDER"):
        datasets.fetch("tiny")
    assert server.requests == 0


def test_a_read_only_cache(tiny, places):
    path = put(places["cache"] / tiny.path, CONTENT)
    path.parent.chmod(0o555)
    try:
        if os.access(path.parent, os.W_OK):
            pytest.skip("permissions do not bind this user")
        assert datasets.fetch("tiny") == [path]  # reading is enough while the file is good
        path.write_bytes(CONTENT[::-1])
        with pytest.raises(DataError, match="Permission denied"):
            datasets.fetch("tiny")
    finally:
        path.parent.chmod(0o755)


# Processes


def start_fetch(file: DataFile, places: dict[str, Path]) -> subprocess.Popen[bytes]:
    """A process of its own that fetches the file."""
    script = (
        "import sys, pooch; from pathlib import Path; from alrnn import datasets as d\n"
        "pooch.os_cache = lambda name: Path(sys.argv[1])\n"
        f"d.REGISTRY['tiny'] = d.DataSet('tiny', '', '', '', '', (d.{file!r},))\n"
        "assert d.fetch('tiny') == [Path(sys.argv[1]) / 'sub' / 'tiny.bin']\n"
    )
    return subprocess.Popen([sys.executable, "-c", script, str(places["cache"])], cwd=ROOT, stderr=subprocess.PIPE)


def test_processes_at_once_share_the_cache(tiny, places, server):
    together = threading.Barrier(3, timeout=60)

    def halting(handler):
        send(handler, CONTENT[:5000], length=len(CONTENT))
        together.wait()  # all three have half the file now
        handler.wfile.write(CONTENT[5000:])

    server.reply = halting
    processes = [start_fetch(tiny, places) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=90)
        assert process.returncode == 0, errors.decode()
    assert server.requests == 3
    assert everything_below(places["cache"]) == ["sub", "sub/tiny.bin"]
    assert (places["cache"] / tiny.path).read_bytes() == CONTENT


def test_a_killed_download_is_never_used(tiny, places, server):
    halfway, go_on = threading.Event(), threading.Event()

    def halting(handler):
        send(handler, CONTENT[:5000], length=len(CONTENT))
        halfway.set()
        go_on.wait(60)

    server.reply = halting
    process = start_fetch(tiny, places)
    try:
        assert halfway.wait(60)
    finally:
        process.kill()
        process.communicate()
        go_on.set()
    assert not (places["cache"] / tiny.path).exists()
    server.reply = lambda handler: send(handler, CONTENT)
    assert datasets.fetch("tiny") == [places["cache"] / tiny.path]
    assert (places["cache"] / tiny.path).read_bytes() == CONTENT


def test_an_interrupted_download_leaves_nothing(tiny, places, monkeypatch):
    def interrupted(url, part, bar):
        part.write_bytes(CONTENT[:5000])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fetching, "_receive", interrupted)
        datasets.fetch("tiny")
    assert everything_below(places["cache"]) == ["sub"]
    assert datasets.fetch("tiny") == [places["cache"] / tiny.path]  # from its beginning


def test_what_killed_downloads_left_is_cleared_but_not_what_others_are_loading(tiny, places):
    old, new = (put(places["cache"] / "sub" / name / "tiny.bin", CONTENT[:5000]) for name in ("part-old", "part-new"))
    os.utime(old.parent, (1e9, 1e9))
    other = put(places["cache"] / "sub" / "mine.bin", CONTENT)
    os.utime(other, (1e9, 1e9))
    datasets.fetch("tiny")
    assert everything_below(places["cache"] / "sub") == ["mine.bin", "part-new", "part-new/tiny.bin", "tiny.bin"]


def test_results_are_read_from_the_bundled_folder(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "adding.csv").write_text("P,test\n0,0.25\n1,0.5\n")
    monkeypatch.setattr(readers, "folders", lambda: {"bundled": tmp_path})
    assert datasets.result_tables() == ["adding"]
    assert datasets.results("adding").to_dict("list") == {"P": [0, 1], "test": [0.25, 0.5]}
    with pytest.raises(datasets.DataError, match=r"no results 'copy' .*known are adding"):
        datasets.results("copy")
