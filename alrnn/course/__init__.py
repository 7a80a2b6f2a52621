"""Course work: assignments that grade themselves without an answer key.

An assignment is drawn from a student number, and what is handed in is graded by recomputing it: floors, fixed points
and codes are exact, scores are measured again on the weights handed in. So no answer is stored that could leak.
"""

# isort: off
from .core import ASSIGNMENTS, READ, Mark, Question, Variant, mark, mark_all, questions, variant
from .folder import make
from .grading import Limits, Result, feedback, grade, grade_class, shut_in, write_points

__all__ = ["ASSIGNMENTS", "Limits", "Mark", "Question", "READ", "Result", "Variant", "feedback", "grade", "grade_class"]
__all__ += ["make", "mark", "mark_all", "questions", "shut_in", "variant", "write_points"]
__dir__ = __all__.copy  # dir() shows what is public
