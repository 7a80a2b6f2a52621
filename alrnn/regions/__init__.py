r"""Reading a net region by region: where its states go, what the map is there, and what each PWL unit does.

The region of a state z is its bitcode: which of the P PWL units (the last P) are above 0. Inside a region the map is
affine,

    z_{t+1} = J_d z_t + C s_{t+1} + h,      J_d = A + W diag(1, ..., 1, d),      d = bits of z_t.

So the bits of z_t choose the map that is applied NEXT, from z_t to z_{t+1}; the map that led to z_t belongs to z_{t-1}.
Everything here is NumPy in float64 and leaves the net as it was. PWL units are numbered 0..P-1, as the columns of bits:
number p is unit M - P + p of the state. A net is an ALRNN, or a `Map`, the weights of any other almost-linear net.
"""

# isort: off
# fmt: off
from .attractors import Attractor, attractors, lyapunov
from .fixed_points import cycles, fixed_points, search
from .lesions import LesionScores, freeze, lesion_scores, linearise, lose, silence, straighten
from .modes import (Alignment, Components, Map, Spectrum, alignment, jacobians, principal_components, spectrum,
                    time_constants)
from .points import Cycle, FixedPoint, Points
from .visits import (DwellTimes, Information, Occupancy, Switches, Visits, contingency, dwell_times, information,
                     occupancy, switches, transition_counts, transition_matrix, visits)

__all__ = [
    "Alignment", "Attractor", "Components", "Cycle", "DwellTimes", "FixedPoint", "Information", "LesionScores", "Map",
    "Occupancy", "Points", "Spectrum", "Switches", "Visits", "alignment", "attractors", "contingency", "cycles",
    "dwell_times", "fixed_points", "freeze", "information", "jacobians", "lesion_scores", "linearise", "lose",
    "lyapunov", "occupancy", "principal_components", "search", "silence", "spectrum", "straighten", "switches",
    "time_constants", "transition_counts", "transition_matrix", "visits",
]
__dir__ = __all__.copy  # dir() shows what is public
