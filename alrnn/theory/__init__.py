"""What a linear network (P = 0) can reach at best, and networks built by hand that solve a task exactly.

Unrolled from z_0 = 0, a net with P = 0 is an affine map of its inputs, y_T = const + sum_t D W^{T-t} C s_t, whatever M
is. So each floor below is a statement about affine maps. Conversely, with M >= T every affine map of the inputs to one
number at one step is some linear net; K numbers need up to K T units, and answers at several steps share their weights.
"""

# ruff: noqa: F403
from . import (
    adding,
    affine,
    automata,
    bounds,
    capacity,
    context,
    copy,
    language,
    optimum,
    scan,
    selection,
    sentiment,
    suite,
    two_step,
)
from .adding import *
from .affine import *
from .automata import *
from .bounds import *
from .capacity import *
from .context import *
from .copy import *
from .language import *
from .optimum import *
from .scan import *
from .selection import *
from .sentiment import *
from .suite import *
from .two_step import *

__all__ = [*affine.__all__, *optimum.__all__, *adding.__all__, *context.__all__, *copy.__all__, *sentiment.__all__]
__all__ += [*capacity.__all__, *automata.__all__, *bounds.__all__, *scan.__all__, *suite.__all__, *language.__all__]
__all__ += [*two_step.__all__, *selection.__all__]
__dir__ = __all__.copy  # dir() shows what is public
