"""Execute every notebook once: the tests and the site share the result.

A notebook runs again only when it, the package, its data, the lock file or Python changed. It runs as a reader runs it:
alone in an empty folder, on the built wheel rather than the checkout. Results:

    executed/book/          the book with its outputs, from which the site is built; beside NAME.ipynb NAME.json, if the
                            notebook left one: trained nets for the pages that run them in the browser
    executed/status.json    for each notebook that passed, the hash of its sources, seconds, date, versions
    executed/run/           where notebooks run; one that failed stays here, and is never taken for done
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import date
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 600  # seconds for one cell
ENDINGS = (".json", ".ipynb")  # of what a notebook leaves; itself last, as it alone says that all is there


def sources(folder: Path) -> list[Path]:
    """The files of a folder in a fixed order, without what Python or an editor leaves behind."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in files if not any(q == "__pycache__" or q[0] == "." for q in p.relative_to(folder).parts))


def digest(root: Path, files: list[Path], *words: str) -> str:
    h = hashlib.sha256()
    for word in words:
        h.update(word.encode() + b"\0")
    for path in files:
        content = path.read_bytes()
        h.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return h.hexdigest()


def stamps(root: Path = ROOT) -> dict[str, str]:
    """For each notebook, by its path in book/ without the ending, the hash of all that its result depends on."""
    shared = [*sources(root / "alrnn"), *sources(root / "data"), root / "requirements.lock"]
    common = digest(root, shared, platform.python_version())
    book = root / "book"
    notebooks = (path for path in sources(book) if path.suffix == ".ipynb")
    return {p.relative_to(book).with_suffix("").as_posix(): digest(root, [p], common) for p in notebooks}


def read_status(root: Path = ROOT) -> dict[str, dict]:
    path = root / "executed" / "status.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def write_status(status: dict[str, dict], root: Path) -> None:
    text = json.dumps(status, indent=1, sort_keys=True) + "\n"
    (root / "executed" / "status.json").write_text(text, encoding="utf-8")


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "torch")}}


def is_current(name: str, stamp: str, status: dict[str, dict], root: Path = ROOT) -> bool:
    executed = root / "executed" / "book" / f"{name}.ipynb"
    return status.get(name, {}).get("stamp") == stamp and executed.exists()


def build_wheel(folder: Path, root: Path = ROOT) -> Path:
    """The wheel, alone in the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpack_wheel(root: Path) -> Path:
    """Build the wheel and lay its content into executed/wheel, to be put first on the notebooks' path."""
    wheel = build_wheel(root / "executed" / "wheel", root)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(wheel.parent)
    wheel.unlink()
    return wheel.parent


def run(names: list[str], root: Path = ROOT) -> Iterator[tuple[str, float]]:
    """Run the notebooks on the wheel, in this environment."""
    wheel = unpack_wheel(root)
    env = {**os.environ, "PYTHONPATH": str(wheel)}
    ask = [sys.executable, "-c", "import alrnn; print(alrnn.__file__)"]
    found = subprocess.run(ask, cwd=wheel, env=env, check=True, capture_output=True, text=True).stdout.strip()
    if not Path(found).is_relative_to(wheel):
        raise RuntimeError(f"the notebooks would import {found}, not the wheel in {wheel}")
    yield from run_alone(names, root / "executed" / "run", env, root)


def run_alone(names: list[str], stage: Path, env: dict[str, str], root: Path = ROOT) -> Iterator[tuple[str, float]]:
    """Run the notebooks through nbmake, two at a time, each alone in a folder of its own below `stage`.

    Yields the name and the seconds of each that passed as soon as it has.
    """
    shutil.rmtree(stage, ignore_errors=True)
    for name in names:
        (stage / name).mkdir(parents=True)
        shutil.copy(root / "book" / f"{name}.ipynb", stage / name)

    env = {**env, "OMP_NUM_THREADS": "1"}
    env["TQDM_DISABLE"] = "1"  # a finished progress bar says nothing on a page, but makes it load the widgets' scripts

    def execute(name: str) -> tuple[str, float, subprocess.CompletedProcess[str]]:
        command = [sys.executable, "-m", "pytest", "-q", "--nbmake", "--overwrite", f"--nbmake-timeout={TIMEOUT}"]
        command += ["-p", "no:cacheprovider", "-p", "no:benchmark", f"--rootdir={stage}", str(stage / name)]
        start = time.monotonic()
        done = subprocess.run(command, cwd=stage, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return name, round(time.monotonic() - start, 1), done

    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for future in as_completed([pool.submit(execute, name) for name in names]):
            name, seconds, done = future.result()
            passed = done.returncode == 0
            print(f"{name}: {done.stdout.splitlines()[-1]}" if passed else f"{name}:\n{done.stdout}", flush=True)
            if passed:
                yield name, seconds


def copy_pages(root: Path) -> None:
    """Lay the book's other files beside the executed notebooks, and drop what the book no longer has."""
    book, out = root / "book", root / "executed" / "book"
    kept = {out / path.relative_to(book) for path in sources(book)}
    kept |= {path.with_suffix(".json") for path in kept if path.suffix == ".ipynb"}
    for path in sorted(out.rglob("*"), reverse=True):
        if path.is_file() and path not in kept:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for path in sources(book):
        if path.suffix != ".ipynb":
            target = out / path.relative_to(book)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def main(root: Path = ROOT) -> int:
    current, status = stamps(root), read_status(root)
    status = {name: entry for name, entry in status.items() if is_current(name, current.get(name, ""), status, root)}
    stale = [name for name in current if name not in status]
    (root / "executed" / "book").mkdir(parents=True, exist_ok=True)
    copy_pages(root)
    for name in stale:
        for ending in ENDINGS:
            (root / "executed" / "book" / f"{name}{ending}").unlink(missing_ok=True)
    write_status(status, root)
    for name, seconds in run(stale, root) if stale else ():
        target = root / "executed" / "book" / f"{name}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        for left in (root / "executed" / "run" / name / f"{target.stem}{ending}" for ending in ENDINGS):
            if left.exists():
                shutil.move(left, target.with_suffix(left.suffix))
        status[name] = {"stamp": current[name], "seconds": seconds, "date": f"{date.today()}", **versions()}
        write_status(status, root)  # each time: one that is done stays done, whatever becomes of the others
    failed = [name for name in stale if name not in status]

    for name in current:
        print(f"{status[name]['seconds']:7.1f} s  {name}" if name in status else f"   failed  {name}")
    kept = len(current) - len(stale)
    print(f"notebooks: {len(status)} passed, {len(failed)} failed ({len(stale)} run now, {kept} unchanged since)")
    if failed:
        print(f"the failed ones, as far as they came: {root / 'executed' / 'run'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
