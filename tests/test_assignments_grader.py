"""The grader takes whatever is handed in: what is right counts, one clear message, and nothing else is touched.

Its submissions are solutions, which tools/course.py makes.
"""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_assignments import ROOT, SOLUTIONS, tool

from alrnn import course

assert (ROOT / "tools" / "course.py").exists()
QUICK = course.Limits(cell=8, seconds=90, memory=3000)


def notebook(*sources: str, before: tuple[str, ...] = (), id: str = "4711") -> str:
    """A solution of A1 with these cells after it."""
    cells = [*before, *(c.source for c in tool.solution("A1", id, SOLUTIONS["A1"]).cells if c.cell_type == "code")]
    made = [{"cell_type": "code", "source": source} for source in [*cells, *sources]]
    return json.dumps({"cells": made})


def points(path: Path, **kwargs: object) -> tuple[int, str]:
    result = course.grade(path, "A1", "4711", QUICK, **kwargs)  # type: ignore[arg-type]
    return result.points, course.feedback(result)


HOSTILE = (
    "raise RuntimeError('no')",
    "this is no Python",
    "%timeit 1",
    "while True:\n    pass",
    "x = bytearray(50_000_000_000)",
    "line = 'x' * 10**6\nfor _ in range(200): print(line)",
    "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
    "open('big', 'wb').truncate(10**12)",
    "import alrnn as a\na.theory.adding_floor = lambda *_: 0\na.course.mark_all = None\nalrnn = 5\ncourse = None",
    "import json, sys\njson.dumps = lambda x: '[]'",
    "raise SystemExit",
)


def test_what_is_right_counts_whatever_else_is_there(tmp_path: Path) -> None:
    """Raising, endless, large, printing, writing and redefining cells around a solution."""
    path, outside = tmp_path / "n.ipynb", tmp_path / "outside"
    path.write_text(notebook(*HOSTILE, f"open({str(outside)!r}, 'w').write('x')"), "utf-8")
    found, said = points(path)
    assert found == 16, said
    assert "ran for more than 8 s" in said and "RuntimeError: no" in said and "SyntaxError" in said
    if course.shut_in():
        assert not outside.exists() and said.count("Read-only file system") == 1


def test_deleted_doubled_split_and_renamed_cells(tmp_path: Path) -> None:
    cells = json.loads(notebook())["cells"]
    at = next(i for i, cell in enumerate(cells) if cell["source"].startswith("p = "))
    doubled = [*cells[: at + 1], cells[at], *cells[at + 1 :]]
    split = [{"cell_type": "code", "source": part} for part in ("q = 1", "constant_error = float('nan')")]
    renamed = [{**cell, "source": cell["source"].replace("gated = ", "my_net = ")} for cell in doubled]
    kept = [cell for cell in renamed if not cell["source"].startswith("eigenvalue")] + split
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"cells": kept}), "utf-8")
    found, said = points(path)
    assert found == 16 - 2 - 1 - 3, said
    assert "no `eigenvalue` and no `time_constant`" in said and "no `gated`: not filled in, renamed or deleted" in said
    assert "NaN" in said


@pytest.mark.parametrize(("last", "said"), [
    ("import os; os._exit(0)", ""),
    ("import signal, time\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: time.sleep(1)", "in all"),
])  # fmt: skip
def test_a_process_that_ends_or_never_does(tmp_path: Path, last: str, said: str) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(notebook(last, "floor = 0"), "utf-8")
    result = course.grade(path, "A1", "4711", course.Limits(cell=30, seconds=60))
    assert result.points == 16 and said in course.feedback(result)


def test_files_that_are_no_notebook_and_no_number(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    for content in (b"", b"\xff\x00", b"[" * 100_000, b'{"cells": 3}'):
        path.write_bytes(content)
        result = course.grade(path, "A1", "1", QUICK)
        assert result.points == 0 and result.wrong


def test_a_class_that_was_stopped_goes_on(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for id in ("1", "2", "=3"):
        (folder / f"{id}.ipynb").write_text(notebook(id=id), "utf-8")
    words = [sys.executable, "-m", "alrnn", "grade", "A1", str(folder), "--out", str(out), "--jobs", "1"]
    first = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not list(out.glob("*.json")) and time.monotonic() < until:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = {path: path.stat().st_mtime_ns for path in out.glob("*.json")}
    assert done
    results = course.grade_class(folder, "A1", out)
    assert [r.points for r in results] == [16] * 3
    assert all(path.stat().st_mtime_ns == when for path, when in done.items()), "what was graded is not graded again"
    rows = list(csv.DictReader((out / "points.csv").open()))
    assert {row["ID number"]: row["Points"] for row in rows} == {"1": "16", "2": "16", "'=3": "16"}
