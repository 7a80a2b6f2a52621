"""The commands `alrnn course` and `alrnn grade`."""

from __future__ import annotations

import argparse
import sys

from .folder import make
from .grading import grade_class, shut_in


def course(given: argparse.Namespace) -> None:
    """Make a student's folder."""
    print(make(given.assignment, given.id, given.out))


def grade(given: argparse.Namespace) -> None:
    """Grade a class."""
    if not shut_in():
        print("alrnn grade: this system cannot shut submissions in: grade in a container", file=sys.stderr)
    results = grade_class(given.folder, given.assignment, given.out, given.jobs)
    print(f"{given.out}: {len(results)} submissions, points in points.csv")
