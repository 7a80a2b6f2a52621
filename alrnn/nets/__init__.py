"""Kinds of nets: the Almost-Linear RNN, how it starts, and how K nets of a kind run in one pass."""

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from .almost_linear import ALRNN
from .init import Init
from .net import Inputs, Net, Output
from .stack import Ensemble, Stack
from .torch_nets import GRU, LSTM, RNN

__all__ = ["ALRNN", "GRU", "LSTM", "RNN", "Ensemble", "Init", "Inputs", "Net", "Output", "Stack"]
KINDS: tuple[type[Net], ...] = (ALRNN, RNN, GRU, LSTM)


def plain(settings: Any) -> Any:
    """Settings as files hold them: numbers, text, lists and dicts."""
    if is_dataclass(settings) and not isinstance(settings, type):
        return plain(asdict(settings))
    if isinstance(settings, dict):
        return {name: plain(value) for name, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [plain(value) for value in settings]
    return settings if isinstance(settings, (bool, int, float, str)) or settings is None else str(settings)


def rebuilt(kind: str, settings: dict[str, Any], kinds: Sequence[type[Net]] = ()) -> Net:
    """The net of this kind, a class by name, with these settings, untrained; `kinds` are known beside the library's."""
    known = {one.__name__: one for one in (*KINDS, *kinds)}
    if kind not in known:
        raise ValueError(f"{kind} is no kind of net that is known here ({', '.join(known)}): name its class in kinds")
    return known[kind](**settings)
