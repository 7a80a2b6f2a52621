"""Make the folder of an assignment for one student."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from .core import questions, variant

PACKAGE = Path(__file__).resolve().parents[1]


def source() -> Path:
    """Where the assignments lie: inside a wheel, or beside the package in a checkout."""
    inside = PACKAGE / "assignments"
    return inside if inside.is_dir() else PACKAGE.parent / "assignments"


def make(assignment: str, id: str | int, folder: str | os.PathLike | None = None) -> Path:
    """Copy notebook and test to a folder (by default one of the assignment's name), the student number filled in.

    Raises:
        ValueError: no such assignment, no number. FileExistsError: the notebook is there already; it is left alone.
    """
    questions(assignment)
    own = variant(assignment, id).id
    there = Path(assignment if folder is None else folder)
    target = there / f"{assignment}.ipynb"
    if target.exists():
        raise FileExistsError(f"{target} is there already, and left as it is")
    there.mkdir(parents=True, exist_ok=True)
    notebook = json.loads((source() / f"{assignment}.ipynb").read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell.get("id") == "number":
            cell["source"] = "".join(cell["source"]).replace('ID = "demo"', f"ID = {json.dumps(own)}")
    shutil.copyfile(source() / f"test_{assignment}.py", there / f"test_{assignment}.py")
    target.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return target
