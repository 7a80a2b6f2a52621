"""`pytest test_A3.py` grades the notebook A3.ipynb beside it: one test a question, recomputed from what is handed in.

The student number is the notebook's own ID, or, for a teacher's list, that of COURSE_ID in the environment.
"""

import os
from pathlib import Path

import pytest

from alrnn import course


@pytest.fixture(scope="module")
def result() -> course.Result:
    return course.grade(Path(__file__).with_name("A3.ipynb"), "A3", os.environ.get("COURSE_ID"))


@pytest.mark.parametrize("question", [question.name for question in course.questions("A3")])
def test_question(question: str, result: course.Result) -> None:
    (mark,) = [mark for mark in result.marks if mark.question == question]
    if mark.message == course.READ:
        pytest.skip(f"{question}: {mark.message}")
    if mark.points < mark.of:
        pytest.fail(f"{question}, 0 of {mark.of}: {mark.message} {'; '.join(result.wrong)}", pytrace=False)
