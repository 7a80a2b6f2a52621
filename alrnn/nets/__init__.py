"""Kinds of nets: the Almost-Linear RNN, how it starts, and how K nets of a kind run in one pass."""

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from .almost_linear import ALRNN
from .encoder_decoder import EncoderDecoder
from .init import Init
from .net import Inputs, Net, Output
from .readouts import ReadoutALRNN
from .stack import Ensemble, Stack
from .torch_nets import GRU, LSTM, RNN

__all__ = ["ALRNN", "EncoderDecoder", "GRU", "LSTM", "RNN", "Ensemble", "Init", "Inputs", "Net", "Output"]
__all__ += ["ReadoutALRNN", "Stack"]
__dir__ = __all__.copy  # dir() shows what is public
KINDS: tuple[type[Net], ...] = (ALRNN, EncoderDecoder, ReadoutALRNN, RNN, GRU, LSTM)


def plain(settings: Any) -> Any:
    """Settings as files hold them: numbers, text, lists and dicts; TypeError for anything else."""
    if isinstance(settings, np.generic):
        return settings.item()
    if is_dataclass(settings) and not isinstance(settings, type):
        return plain(asdict(settings))
    if isinstance(settings, dict):
        return {name: plain(value) for name, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [plain(value) for value in settings]
    if settings is None or isinstance(settings, (bool, int, float, str)):
        return settings
    raise TypeError(f"only numbers, text, lists and dicts can be saved as settings, got {settings!r}")


def told(net: Net) -> list[Any]:
    """What makes a net again, untrained, by `rebuilt`, as files hold it: kind, settings, names of its parameters.

    Raises:
        ValueError, TypeError: they do not make it again.
    """
    kind, found = type(net), [type(net).__name__, plain(net.settings()), [name for name, _ in net.named_parameters()]]
    again = rebuilt(*found, kinds=[kind])
    facts = [
        [(n, p.shape) for n, p in one.named_parameters()] + [(n, b.tolist()) for n, b in one.named_buffers()]
        for one in (net, again)
    ]
    if facts[0] != facts[1] or (kind not in KINDS and kind.__name__ in {one.__name__ for one in KINDS}):
        raise ValueError(f"{kind.__name__} with its settings {found[1]} makes another net: it cannot be saved")
    return found


def rebuilt(kind: str, settings: dict[str, Any], names: Sequence[str] = (), *, kinds: Sequence[type[Net]] = ()) -> Net:
    """The net of this kind, a class by name, with these settings, untrained; `kinds` are known beside the library's.

    names: the order of its parameters, as it was when their numbers were saved.
    """
    known = {one.__name__: one for one in (*KINDS, *kinds)}
    if kind not in known:
        raise ValueError(f"{kind} is no kind of net that is known here ({', '.join(known)}): name its class in kinds")
    net = known[kind](**settings)
    for name in names:
        place, _, own = name.rpartition(".")
        parameters = net.get_submodule(place)._parameters
        parameters[own] = parameters.pop(own)
    return net
