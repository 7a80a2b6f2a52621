"""Grade submissions: each runs in a process of its own, shut in as far as the system allows, and is then recomputed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from .. import __version__
from ..files import written_whole
from .core import Mark, mark_all, questions

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 20_000_000  # bytes of answers, and of a notebook
# In namespaces of its own: no network, no other processes, all files read-only but one folder, the class out of sight.
SHUT_IN = """
box=$1; shift
mount --make-rprivate / && mount --bind "$box" "$box" || exit 99
while read -r _ where _; do
    case "$where" in "$box"|/proc*) ;; *) mount -o remount,bind,ro "$where" 2>/dev/null ;; esac
done < /proc/mounts
while [ "$1" != -- ]; do mount -t tmpfs none "$1" || exit 99; shift; done; shift
cd "$box" && exec unshare --user --map-root-user "$@"
"""
NAMESPACES = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--mount", "--fork", "--kill-child"]


@dataclass(frozen=True)
class Limits:
    """Of one submission: seconds for a cell and in all, MiB of memory it may write to, and of any one file."""

    cell: float = 90
    seconds: float = 240
    memory: int = 4096
    file: int = 64


@dataclass(frozen=True)
class Result:
    """id; marks of all questions; wrong: what went wrong in its cells, one line each."""

    id: str
    assignment: str
    marks: list[Mark]
    wrong: list[str] = field(default_factory=list)

    @property
    def points(self) -> int:
        """What the grader gives; parts in words are not in it."""
        return sum(m.points for m in self.marks)


@cache
def shut_in() -> bool:
    """Whether this system can shut a submission in: Linux with unprivileged user namespaces."""
    if not shutil.which("unshare"):
        return False
    with tempfile.TemporaryDirectory() as box:
        words = [*NAMESPACES, "sh", "-c", SHUT_IN, "sh", os.path.realpath(box), "--", "true"]
        return subprocess.run(words, capture_output=True).returncode == 0


def _bounded(limits: Limits) -> None:
    """In the new process, before it becomes another program."""
    import resource

    os.setsid()
    for what, most in ((resource.RLIMIT_DATA, limits.memory << 20), (resource.RLIMIT_FSIZE, limits.file << 20),
                       (resource.RLIMIT_CORE, 0)):  # fmt: skip
        resource.setrlimit(what, (most, most))


def collect(notebook: bytes, assignment: str, limits: Limits, hidden: tuple[Path, ...] = ()) -> tuple[dict, list[str]]:
    """Run a submission; its answers as plain data, and what went wrong. hidden: folders that it must not see."""
    if len(notebook) > LARGEST:
        return {}, ["the notebook is larger than 20 MB"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        box = Path(os.path.realpath(folder))
        (box / "submission.ipynb").write_bytes(notebook)
        words = [sys.executable, "-m", "alrnn.course.runner", str(box / "submission.ipynb"), str(box / "answers.json")]
        words += [assignment, str(limits.cell)]
        if shut_in():
            unseen = [str(path.resolve()) for path in hidden if path.is_dir()]
            words = [*NAMESPACES, "sh", "-c", SHUT_IN, "sh", str(box), *unseen, "--", *words]
        kept = {
            name: os.environ[name] for name in ("PATH", "LANG", "ALRNN_KERNEL", "LD_LIBRARY_PATH") if name in os.environ
        }
        own = {"HOME": str(box), "TMPDIR": str(box), "MPLCONFIGDIR": str(box), "OMP_NUM_THREADS": "1"}
        own |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
        own |= {"XDG_CACHE_HOME": _kernels()}
        process = subprocess.Popen(
            words, cwd=box, env=kept | own, preexec_fn=lambda: _bounded(limits),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        late = False
        try:
            process.wait(limits.seconds)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
            process.wait()
        return _read(box / "answers.json", late, process.returncode, limits)


def _kernels() -> str:
    """Where the compiled recurrence lies, so that it is not compiled once a submission."""
    return os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")


def _read(path: Path, late: bool, status: int, limits: Limits) -> tuple[dict, list[str]]:
    ended = [f"stopped after {limits.seconds:g} s in all"] if late else []
    if not late and status:
        ended = [f"its process ended by itself, with status {status} (memory, perhaps): what came later did not run"]
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST:
            return {}, [*ended, "the answers are larger than 20 MB"]
        found = json.loads(path.read_text("utf-8"))
        answers, wrong = found["answers"], [" ".join(str(line).split())[:300] for line in found["wrong"]][:20]
        return dict(answers), wrong + ended
    except FileNotFoundError:
        return {}, ended or ["no cell ran"]
    except Exception:
        return {}, [*ended, "the answers cannot be read"]


def grade(
    path: str | os.PathLike, assignment: str, id: str | None = None, limits: Limits | None = None,
    hidden: tuple[Path, ...] = (),
) -> Result:  # fmt: skip
    """Grade one notebook.

    Args:
        id: the student's number, from a list of the class; by default what the notebook itself says in `ID`.
        hidden: folders that the submission must not see.

    Raises:
        ValueError: no such assignment. OSError: no such file.
    """
    asked = questions(assignment)
    answers, wrong = collect(Path(path).read_bytes(), assignment, limits or Limits(), hidden)
    own = str(answers.pop("ID", "") or "").strip()
    number = id if id is not None else own
    if not number:
        message = "The notebook has no ID, so nobody knows whose variant this is."
        return Result("", assignment, [Mark(q.name, 0, q.points, message) for q in asked], wrong)
    if id is not None and own and own.lower() != id.strip().lower():
        wrong = [f"the notebook says ID {own[:40]!r}, it was handed in by {id!r}: graded as the latter's", *wrong]
    return Result(number, assignment, mark_all(assignment, number, answers), wrong)


def grade_class(
    folder: str | os.PathLike, assignment: str, out: str | os.PathLike, jobs: int = 2, limits: Limits | None = None
) -> list[Result]:
    """Grade all notebooks of a folder, one a student; the file's or its folder's name is the student number.

    `folder/NUMBER.ipynb`, `folder/A1-NUMBER.ipynb` or `folder/NUMBER/A1.ipynb`. Writes `out/NUMBER.json`, `.txt` (what
    the student gets back) and `out/points.csv`. What has been graded is not graded again, so it can be stopped
    any time, also by `kill -9`; a notebook that has changed is.

    Raises:
        ValueError: no such assignment, no notebooks, or one student with two.
    """
    folder, out = Path(folder), Path(out)
    found = submissions(folder, assignment)
    out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        work = [pool.submit(_once, path, id, assignment, out, limits, (folder, out)) for id, path in found.items()]
        for done in as_completed(work):
            done.result()
    results = [_saved(out / f"{id}.json") for id in found]
    rows = io.StringIO()
    write_points([r for _, r in results], rows)
    with written_whole(out / "points.csv") as file:
        file.write(rows.getvalue().encode())
    return [result for _, result in results]


def submissions(folder: Path, assignment: str) -> dict[str, Path]:
    """Student number -> notebook."""
    questions(assignment)  # is there such an assignment?
    found: dict[str, Path] = {}
    for path in sorted([*folder.glob("*.ipynb"), *folder.glob("*/*.ipynb")]):
        id = path.stem if path.parent == folder else path.parent.name
        id = re.sub(rf"^{assignment}[-_ ]", "", id)
        if path.parent != folder and path.stem != assignment:
            continue
        if id in found:
            raise ValueError(f"{id} has two notebooks, {found[id]} and {path}")
        found[id] = path
    if not found:
        raise ValueError(f"there are no notebooks NUMBER.ipynb or NUMBER/{assignment}.ipynb in {folder}")
    return found


def _once(path: Path, id: str, assignment: str, out: Path, limits: Limits | None, hidden: tuple[Path, ...]) -> None:
    stamp = hashlib.sha256(f"{__version__} {assignment} {limits}".encode() + path.read_bytes()).hexdigest()
    there = out / f"{id}.json"
    if there.exists() and _saved(there)[0] == stamp:
        return
    result = grade(path, assignment, id, limits, hidden)
    with written_whole(out / f"{id}.txt") as file:
        file.write(feedback(result).encode())
    with written_whole(there) as file:
        file.write(json.dumps({"stamp": stamp, "result": asdict(result)}, indent=1).encode())


def _saved(path: Path) -> tuple[str, Result]:
    held = json.loads(path.read_text("utf-8"))
    told = held["result"]
    return held["stamp"], Result(**told | {"marks": [Mark(**m) for m in told["marks"]]})


def feedback(result: Result) -> str:
    """What the student gets back."""
    lines = [f"{result.assignment}, {result.id}: {result.points} of {sum(m.of for m in result.marks)} points, "
             "before the part in words is read."]  # fmt: skip
    lines += [f"  {m.question}: {m.points} of {m.of}. {m.message}" for m in result.marks]
    return "\n".join(lines + [f"  While running: {line}." for line in result.wrong]) + "\n"


def write_points(results: list[Result], file: io.TextIOBase) -> None:
    """A table for Moodle's grade import: one row a student, one column a question, then the sum and the feedback."""
    writer = csv.writer(file)
    names = [m.question for m in results[0].marks]
    writer.writerow(["ID number", *(f"{results[0].assignment} {name}" for name in names), "Points", "Feedback"])
    for r in results:
        told = " / ".join(f"{m.question}: {m.message}" for m in r.marks if m.points < m.of)
        row = [r.id, *(m.points for m in r.marks), r.points, " / ".join([told, *r.wrong])]
        writer.writerow([f"'{x}" if isinstance(x, str) and x[:1] in "=+-@" else x for x in row])  # no formulas
