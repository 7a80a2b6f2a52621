"""One clear error for bad input: what is wrong and what was expected."""

from __future__ import annotations

import operator

import torch
from torch import Tensor


def integer(name: str, value: object, low: int, high: int | None = None, named: str = "") -> int:
    """The value as an int, if it is an integer (also one of numpy's) from low to high; else one clear error."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = low - 1
    if number < low or (high is not None and number > high):
        span = f"of at least {low}" if high is None else f"from {low} to {f'{named} = ' if named else ''}{high}"
        raise ValueError(f"{name} must be an integer {span}, got {value!r}")
    return number


def check_words(s: object, like: Tensor, shape: tuple[int | str, ...], N: int) -> bool:
    """Whether s holds words, as column numbers; if so, one clear error unless their shape and values are right."""
    if not isinstance(s, Tensor) or s.dtype != torch.int64:
        return False
    check_shape("words s", s, like, shape)
    if s.min() < -1 or s.max() >= N:
        raise ValueError(f"words must be from 0 to {N - 1}, or -1 before the first one, got {s.min()} to {s.max()}")
    if ((s[..., 1:] < 0) & (s[..., :-1] >= 0)).any():
        raise ValueError("no word (-1) may stand only before the first word of a text")
    return True


def check_input(name: str, x: object, like: Tensor, shape: tuple[int | str, ...]) -> None:
    """One clear error unless x is finite, of this shape (a letter: any size but 0), with dtype and device of `like`."""
    if not isinstance(x, Tensor) or x.dtype != like.dtype:
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{name} must be a {like.dtype} tensor, as the net's weights, got {kind}")
    check_shape(name, x, like, shape)
    if not (torch.isfinite(x.sum()) or torch.isfinite(x).all()):  # a finite sum, quick to form, has only finite terms
        raise ValueError(f"{name} contains NaN or infinite values")


def check_shape(name: str, x: Tensor, like: Tensor, shape: tuple[int | str, ...]) -> None:
    """One clear error unless x has this shape (a letter: any size but 0) and is on the device of `like`."""
    fits = x.dim() == len(shape) and all(isinstance(m, str) or n == m for n, m in zip(x.shape, shape, strict=True))
    if not fits:
        raise ValueError(f"{name} must have shape ({', '.join(map(str, shape))}), got {tuple(x.shape)}")
    if x.numel() == 0:
        raise ValueError(f"{name} must hold at least one sequence and one step, got {tuple(x.shape)}")
    if x.device != like.device:
        raise ValueError(f"{name} is on {x.device}, the net on {like.device}")
