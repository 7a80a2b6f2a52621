"""A Python that has nbgrader, for tests: the packages at hand, and beside them those of its own list, in .venv-course.

It is made when it is first asked for, and anew when a list or this Python has changed. Where the packages cannot be
reached the tests skip, saying so; ALRNN_NBGRADER=required, as the workflows set it, makes that a failure.
"""

import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import venv
import warnings
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "assignments" / "requirements-nbgrader.txt"
UNREACHED = r"from versions: none|ConnectionPool|ConnectionError|timed out"


def nbgrader_python(folder: Path = ROOT / ".venv-course") -> Path:
    python, ready = folder / "bin" / "python", folder / "ready"
    stamp = hashlib.sha256(LIST.read_bytes() + (ROOT / "requirements.lock").read_bytes() + Path(__file__).read_bytes())
    stamp.update(f"{sys.prefix} {sys.version}".encode())
    with FileLock(folder.with_name(f"{folder.name}.lock")):  # tests run in several processes
        if not ready.exists() or ready.read_text() != stamp.hexdigest():
            venv.create(folder, clear=True)
            paths = {"base": str(folder), "platbase": str(folder)}
            beside = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
            (Path(sysconfig.get_path("purelib", "venv", paths)) / "beside.pth").write_text(beside)
            run(python, "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(LIST))
            run(python, "ipykernel", "install", "--prefix", str(folder))  # else a kernel of the machine may be taken
            ready.write_text(stamp.hexdigest())
    return python


def run(python: Path, *words: str) -> None:
    done = subprocess.run([python, "-m", *words], capture_output=True, text=True, env=plain(python))
    errors = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("WARNING"))
    if done.returncode and re.search(UNREACHED, errors):
        said = "nbgrader is not tested: the packages in assignments/requirements-nbgrader.txt cannot be reached"
        if os.environ.get("ALRNN_NBGRADER") != "required":
            warnings.warn(said, stacklevel=2)  # pytest shows warnings, but not why a test was skipped
            pytest.skip(said)
    assert done.returncode == 0, errors[-3000:]


def plain(python: Path) -> dict[str, str]:
    """The environment, with this checkout's alrnn and with none of the user's Jupyter in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "PYTHON"))}
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"  # nbgrader calls alembic by name
    return kept | {"PATH": path, "PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1"}
