"""Run a submission's cells one after the other and write its answers: python -m alrnn.course.runner ...

This is the process that is not trusted. It holds no key and writes plain data, which the grader reads and recomputes.
A cell that raises or takes too long is left, and the next one runs: what is right counts.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .core import plain_answers, questions

INSTALLS = 'if not __import__("importlib.util")'


class TooLong(BaseException):
    """Of a cell: `except Exception` in it does not catch this."""


def cells(notebook: str) -> Iterator[str]:
    """The code cells' sources, without magics and shell commands.

    Raises:
        ValueError: not a notebook.
    """
    try:
        found = json.loads(notebook)["cells"]
        sources = ["".join(c["source"]) for c in found if c["cell_type"] == "code"]
    except (TypeError, KeyError, ValueError, RecursionError):
        raise ValueError("the file is no notebook") from None
    for source in sources:
        lines = [re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in source.splitlines()]
        yield "" if source.startswith((INSTALLS, "%%")) else "\n".join(lines)


def run(path: Path, out: Path, assignment: str, seconds: float) -> None:
    """Run all cells, each for so many seconds at most; after each, write answers and what went wrong so far."""
    names = {name for question in questions(assignment) for name in question.variables} | {"ID"}
    space: dict[str, Any] = {"__name__": "__main__", "display": lambda *_, **__: None}
    wrong: list[str] = []
    # What is needed afterwards is taken now: a submission may replace it in its modules.
    dumps, limit, replace, write = json.dumps, signal.setitimer, os.replace, Path.write_text
    timer, encode = signal.ITIMER_REAL, plain_answers

    def stop(*_: object) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    for i, source in enumerate(cells(path.read_text("utf-8"))):
        limit(timer, seconds, 1.0)  # and every second after that, should it go on
        try:
            exec(compile(source, f"cell {i}", "exec"), space)
        except TooLong:
            wrong.append(f"code cell {i} ran for more than {seconds:g} s")
        except BaseException as error:  # SystemExit, too
            wrong.append(f"code cell {i}: {type(error).__name__}: {str(error)[:200]}")
        try:
            limit(timer, 0)
            given = encode({name: space[name] for name in names if name in space})
            write(out.with_suffix(".part"), dumps({"answers": given, "wrong": wrong[:20]}), "utf-8")
            replace(out.with_suffix(".part"), out)
        except BaseException as error:
            wrong.append(f"after code cell {i}: {type(error).__name__}")


if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "agg"
    run(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
    os._exit(0)  # whatever threads it has left
