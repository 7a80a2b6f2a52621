"""One clear error for bad input: what is wrong and what was expected."""

from __future__ import annotations

import hashlib
import inspect
import math
import operator
from typing import Any

import numpy as np
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


def kept(thing: object) -> dict[str, Any]:
    """The arguments that something was made with, which it keeps as attributes of the same names.

    Raises:
        ValueError: it does not keep them, or takes *args or **kwargs, whose names are not known.
    """
    arguments = inspect.signature(type(thing)).parameters.values()
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if lost := [p for p in arguments if p.kind in many or not hasattr(thing, p.name)]:
        raise ValueError(
            f"{type(thing).__name__} must keep the arguments it is made with as attributes of the same name (or have a "
            f"settings() of its own); it does not keep {', '.join(str(p).split(':')[0].split('=')[0] for p in lost)}"
        )
    return {p.name: getattr(thing, p.name) for p in arguments}


def depth(kind: type, name: str) -> float:
    """How far up, among the classes that it is made of, a class finds what it has of this name; 0: its own."""
    return next((i for i, one in enumerate(kind.__mro__) if name in vars(one)), float("inf"))


def check_words(s: object, like: Tensor, shape: tuple[int | str, ...], N: int) -> bool:
    """Whether s holds words, as column numbers; if so, one clear error unless their shape and values are right."""
    if not is_words(s):
        return False
    assert isinstance(s, Tensor)
    check_shape(f"words s (numbers would be {like.dtype})", s, like, shape)
    if s.min() < -1 or s.max() >= N:
        raise ValueError(f"words must be from 0 to {N - 1}, or -1 before the first one, got {s.min()} to {s.max()}")
    if ((s[..., 1:] < 0) & (s[..., :-1] >= 0)).any():
        raise ValueError("no word (-1) may stand only before the first word of a text")
    return True


def is_words(s: object) -> bool:
    """Whether s holds whole numbers, with a sign."""
    return isinstance(s, Tensor) and s.dtype in (torch.int64, torch.int32, torch.int16, torch.int8)


def check_input(name: str, x: object, like: Tensor, shape: tuple[int | str, ...], finite: bool = True) -> None:
    """One clear error unless x is finite, of this shape (a letter: any size but 0), with dtype and device of `like`."""
    if not isinstance(x, Tensor) or x.dtype != like.dtype:
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{name} must be a {like.dtype} tensor, as the net's weights, got {kind}")
    check_shape(name, x, like, shape)
    if finite and not all_finite(x):
        raise ValueError(f"{name} contains NaN or infinite values")


def all_finite(x: Tensor) -> bool:
    """Whether x has only finite numbers; True where they cannot be looked at: compiled, under vmap, without memory."""
    if torch.compiler.is_compiling():
        return True
    try:
        return math.isfinite(x.sum().item()) or bool(torch.isfinite(x).all())  # the sum is quick, and mostly enough
    except RuntimeError:
        return True


def check_shape(name: str, x: Tensor, like: Tensor, shape: tuple[int | str, ...]) -> None:
    """One clear error unless x has this shape (a letter: any size but 0) and is on the device of `like`."""
    sizes = list(zip(x.shape, shape, strict=False))
    if x.dim() != len(shape) or any([n != m and not isinstance(m, str) for n, m in sizes]):
        raise ValueError(f"{name} must have shape ({', '.join(map(str, shape))}), got {tuple(x.shape)}")
    if x.numel() == 0 and any(n != m for n, m in sizes if n == 0):
        raise ValueError(f"{name} must hold at least one sequence and one step, got {tuple(x.shape)}")
    if x.device != like.device:
        raise ValueError(f"{name} is on {x.device}, the net on {like.device}")


def check_recurrence(s, z0, A, W, C, h, lower, last) -> None:
    """Arguments of `recurrence` that do not fit."""
    named = {"s": s, "z0": z0, "A": A, "W": W, "C": C, "h": h, "lower": lower}
    named = {name: x for name, x in named.items() if x is not None}
    for name, x in named.items():
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"{name} must be a floating point tensor, got {kind}")
    if len({x.dtype for x in named.values()}) > 1:
        raise TypeError(
            "all arguments must have one dtype, got " + ", ".join(f"{n} {x.dtype}" for n, x in named.items())
        )
    if len({x.device for x in named.values()}) > 1:
        raise ValueError(
            "all arguments must be on one device, got " + ", ".join(f"{n} {x.device}" for n, x in named.items())
        )
    if s.dim() not in (3, 4):
        raise ValueError(f"s must have shape (B, T, N) or (K, B, T, N), got {tuple(s.shape)}")
    if z0.dim() != 3:
        raise ValueError(f"z0 must have shape (K, B, M), got {tuple(z0.shape)}")
    (K, B, M), (T, N) = z0.shape, s.shape[-2:]
    expected = {"A": (K, M), "W": (K, M, M), "C": (K, M, N), "h": (K, M), "lower": (K, M)}
    expected["s"] = (B, T, N if C is not None else M) if s.dim() == 3 else (K, B, T, N if C is not None else M)
    for name, shape in expected.items():
        if name in named and tuple(named[name].shape) != shape:
            raise ValueError(
                f"{name} must have shape {shape} (z0 is {tuple(z0.shape)}), got {tuple(named[name].shape)}"
            )
    if min(K, B, M, N, T) == 0:
        sizes = f"K={K}, B={B}, M={M}, N={N}, T={T}"
        raise ValueError(f"need at least one net, sequence, unit, input and step, got {sizes}")
    if last is not None and not (isinstance(last, int) and 1 <= last <= T):
        raise ValueError(f"last must be between 1 and T = {T}, got {last}")


def fingerprint(x: Tensor | np.ndarray) -> str:
    """Shape, dtype and hash of an array, as text: what a table or a file says of it."""
    array = np.ascontiguousarray(x.detach().cpu().numpy() if isinstance(x, Tensor) else x)
    return f"array {array.shape} {array.dtype} {hashlib.sha256(array.tobytes()).hexdigest()[:12]}"
