"""Solutions and other forms of the assignments, for teachers.

    python tools/course.py solution A1 --id NUMBER --out FILE.ipynb   the notebook of a student with all cells filled in
    python tools/course.py open FOLDER                                all solutions as scripts, to change them
    python tools/course.py seal FOLDER                                put them back
    python tools/course.py nbgrader A1 --out FOLDER                   the source notebook of an nbgrader course
    python tools/course.py otter A1 --out FOLDER                      notebook and tests for otter-grader

Each command that reads solutions asks for the key, or takes it from COURSE_KEY. The page for teachers says which it is.

assignments/solutions.txt is encrypted text, so that neither a search engine nor a student who looks around reads
solutions. Who has read the page for teachers can open it: the key is no secret unless a fork seals it with its own.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import hashlib
import hmac
import json
import os
import re
import sys
import textwrap
import zlib
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "assignments"
SEALED = FOLDER / "solutions.txt"
sys.path.insert(0, str(ROOT))

from alrnn import course  # noqa: E402


def _keys(key: str, salt: bytes, size: int) -> tuple[bytes, bytes]:
    """A stream of so many bytes, and a key for the seal."""
    root = hashlib.scrypt(key.strip().lower().encode(), salt=salt, n=2**14, r=8, p=1)
    return hashlib.shake_256(root + b"text").digest(size), hashlib.sha256(root + b"seal").digest()


def sealed(solutions: dict[str, str], key: str) -> str:
    """Solutions, by assignment, as text that only the key opens."""
    plain = zlib.compress(json.dumps(solutions, sort_keys=True).encode(), 9)
    salt = hashlib.sha256(plain).digest()[:16]  # the same text for the same solutions
    stream, seal = _keys(key, salt, len(plain))
    body = salt + bytes(a ^ b for a, b in zip(plain, stream, strict=True))
    text = base64.b85encode(hmac.digest(seal, body, "sha256") + body).decode()
    return "\n".join(textwrap.wrap(text, 120)) + "\n"


def opened(text: str, key: str) -> dict[str, str]:
    """What was sealed.

    Raises:
        ValueError: another key, or a file that has been changed.
    """
    whole = base64.b85decode("".join(text.split()))
    told, body = whole[:32], whole[32:]
    stream, seal = _keys(key, body[:16], len(body) - 16)
    if not hmac.compare_digest(told, hmac.digest(seal, body, "sha256")):
        raise ValueError("this key does not open the solutions; the page for teachers says which does")
    return json.loads(zlib.decompress(bytes(a ^ b for a, b in zip(body[16:], stream, strict=True))))


def cells_of(script: str) -> dict[str, str]:
    """The cells of a solution, by the question's name, each after a line `# %% NAME`."""
    parts = re.split(r"^# %% (\w+)\n", script, flags=re.MULTILINE)[1:]
    return {name: code.strip() for name, code in zip(parts[::2], parts[1::2], strict=True)}


def solution(assignment: str, id: str, script: str) -> nbformat.NotebookNode:
    """The notebook of this student, all cells filled in."""
    cells, nb = cells_of(script), nbformat.read(FOLDER / f"{assignment}.ipynb", 4)
    for cell in nb.cells:
        if cell.id == "number":
            cell.source = cell.source.replace('ID = "demo"', f"ID = {json.dumps(id)}")
        cell.source = cells.pop(cell.id, cell.source)
    if cells:
        raise ValueError(f"{assignment} has no cells {', '.join(cells)}")
    return nb


def for_nbgrader(assignment: str, script: str) -> nbformat.NotebookNode:
    """The source of an nbgrader assignment: answers between its marks, a test a question, words read by hand."""
    cells, nb = cells_of(script), nbformat.read(FOLDER / f"{assignment}.ipynb", 4)
    points = {question.name: question.points for question in course.questions(assignment)}
    for cell in nb.cells:
        mark = {
            "schema_version": 3,
            "grade_id": f"{assignment}-{cell.id}",
            "locked": False,
            "grade": False,
            "solution": False,
        }
        name = cell.id.removeprefix("check-")
        if cell.id in cells:
            cell.source = f"### BEGIN SOLUTION\n{cells[cell.id]}\n### END SOLUTION"
            mark |= {"solution": True, "cell_type": "code"}
            if name == "explanation":
                mark |= {"grade": True, "points": points[name]}
            cell.metadata["nbgrader"] = mark
        elif cell.id.startswith("check-") and name != "explanation":
            cell.source += f'\nassert course.mark("{assignment}", ID, globals(), "{name}").points, "no points"'
            mark |= {"grade": True, "locked": True, "points": points[name], "cell_type": "code"}
            cell.metadata["nbgrader"] = mark
    return nb


def otter_tests(assignment: str) -> dict[str, str]:
    """For each question but the one in words an otter test file; they hold no answers."""
    files = {}
    for question in course.questions(assignment):
        if question.name != "explanation":
            call = f'course.mark("{assignment}", ID, globals(), "{question.name}").points'
            case = {"code": f">>> from alrnn import course\n>>> {call}\n{question.points}", "hidden": False}
            suite = {"cases": [case], "scored": True, "setup": "", "teardown": "", "type": "doctest"}
            test = {"name": question.name, "points": question.points, "suites": [suite]}
            files[f"{question.name}.py"] = f"OK_FORMAT = True\n\ntest = {test!r}\n"
    return files


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("open", "seal"):
        commands.add_parser(name).add_argument("folder", type=Path)
    for name in ("solution", "nbgrader", "otter"):
        command = commands.add_parser(name)
        command.add_argument("assignment", choices=course.ASSIGNMENTS)
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--id", default="demo")
    given = parser.parse_args(arguments)
    if given.command == "otter":
        (given.out / "tests").mkdir(parents=True, exist_ok=True)
        for name, text in otter_tests(given.assignment).items():
            (given.out / "tests" / name).write_text(text, "utf-8")
        nb = nbformat.read(FOLDER / f"{given.assignment}.ipynb", 4)
        nbformat.write(nb, given.out / f"{given.assignment}.ipynb")
        return 0
    key = os.environ.get("COURSE_KEY") or getpass.getpass("key: ")
    if given.command == "seal":
        SEALED.write_text(sealed({p.stem: p.read_text("utf-8") for p in given.folder.glob("A?.py")}, key), "utf-8")
        return 0
    scripts = opened(SEALED.read_text("utf-8"), key)
    if given.command == "open":
        given.folder.mkdir(parents=True, exist_ok=True)
        for name, text in scripts.items():
            (given.folder / f"{name}.py").write_text(text, "utf-8")
        return 0
    given.out.parent.mkdir(parents=True, exist_ok=True)
    if given.command == "solution":
        nbformat.write(solution(given.assignment, given.id, scripts[given.assignment]), given.out)
    else:
        given.out.mkdir(parents=True, exist_ok=True)
        nbformat.write(
            for_nbgrader(given.assignment, scripts[given.assignment]), given.out / f"{given.assignment}.ipynb"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
