"""One clear error for bad input: what is wrong and what was expected."""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.autograd import forward_ad

Numbers: TypeAlias = Tensor | ArrayLike


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


def array(x: Numbers) -> np.ndarray:
    """A tensor or array-like as a NumPy array, detached; floats as float64."""
    if isinstance(x, Tensor):
        x = (x.double() if x.is_floating_point() else x).detach().cpu().numpy()
    x = np.asarray(x)
    return x.astype(np.float64) if np.issubdtype(x.dtype, np.floating) else x


def codes(bits: Numbers, P: int) -> np.ndarray:
    """Bits (..., P) as int8; given as numbers, or as bitcodes "01" (...), as `Visits.codes` has them.

    Raises:
        ValueError: another number of bits, or bits other than 0 and 1.
    """
    given = array(bits)
    if given.dtype.kind == "U":
        words = [list(word) for word in given.ravel().tolist()]
        if any(len(word) != P or set(word) - {"0", "1"} for word in words):
            raise ValueError(f"bitcodes must have {P} digits 0 or 1, one per PWL unit, got {given.ravel()[:3]}")
        given = np.array(words, dtype=np.int8).reshape(*given.shape, P)
    if given.ndim < 1 or given.shape[-1] != P:
        raise ValueError(f"bits must have shape (..., {P}), one per PWL unit, got {given.shape}")
    if given.dtype != bool and not np.isin(given, (0, 1)).all():
        raise ValueError("bits must be 0 or 1")
    return given.astype(np.int8)


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
    if not readable(s):
        return True
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
    """Whether x has only finite numbers; True where they are not to be looked at."""
    if not readable(x):
        return True
    return math.isfinite(x.sum().item()) or bool(torch.isfinite(x).all())  # the sum is quick, and mostly enough


def watched() -> bool:
    """Whether torch compiles, exports or traces, or a mode watches its operations: only those are seen."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._len_torch_dispatch_stack() > 0


def transformed() -> bool:
    """Whether a transform of torch.func or forward-mode differentiation is on."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def ordinary(*tensors: Tensor | None) -> bool:
    """Whether these are torch's own tensors on one device, numbers in memory that stand for themselves, and nothing
    looks on.

    Others (batched, dual, fake, functional, sparse, nested, a negated view, zeros without memory, ...), and all while
    something looks on, are for torch's operations alone: their addresses and numbers are not what they seem.
    """
    if watched() or transformed():
        return False
    keys, keys_of = None, torch._C._dispatch_keys
    for x in tensors:
        if x is not None:
            if type(x) not in _OWN:
                return False
            keys = keys or _ordinary_keys(x.device)
            if keys_of(x).raw_repr() not in keys:
                return False
    return True


def readable(x: Tensor) -> bool:
    """Whether to look at the numbers of x: on another device than the CPU that would wait for it."""
    return x.is_cpu and ordinary(x)


_OWN = {Tensor, nn.Parameter}


@functools.cache
def _ordinary_keys(device: torch.device) -> set[int]:
    """What torch dispatches on for a tensor that is nothing but numbers on a device: whatever else it is adds to it."""
    keys = set()
    for mode in (False, True):
        with torch.inference_mode(mode):
            keys.add(torch._C._dispatch_keys(torch.empty(0, device=device)).raw_repr())
    return keys


def check_shape(name: str, x: Tensor, like: Tensor, shape: tuple[int | str, ...]) -> None:
    """One clear error unless x has this shape (a letter: any size but 0) and is on the device of `like`."""
    check_dense(name, x)
    sizes = list(zip(x.shape, shape, strict=False))
    if x.dim() != len(shape) or any([n != m and not isinstance(m, str) for n, m in sizes]):
        raise ValueError(f"{name} must have shape ({', '.join(map(str, shape))}), got {tuple(x.shape)}")
    if x.numel() == 0 and any(n != m for n, m in sizes if n == 0):
        raise ValueError(f"{name} must hold at least one sequence and one step, got {tuple(x.shape)}")
    if x.device != like.device:
        raise ValueError(f"{name} is on {x.device}, the net on {like.device}")


def check_dense(name: str, x: Tensor) -> None:
    """One clear error unless x is a dense tensor, not a sparse or nested one."""
    if x.layout != torch.strided or x.is_nested:
        kind = "a nested one" if x.is_nested else f"layout {x.layout}"
        raise TypeError(
            f"{name} must be a dense tensor, got {kind}; x.to_dense() or torch.nested.to_padded_tensor make one"
        )


def check_recurrence(s, z0, A, W, C, h, lower, last=None) -> bool:
    """One clear error for arguments of `recurrence` that do not fit; else, whether all are `ordinary`."""
    given = (s, z0, A, W, C, h, lower)
    here = ordinary(*given)
    if not here or any([x is not None and x.dtype != s.dtype for x in given]) or not s.is_floating_point():
        _check_kinds(given)
    if s.dim() not in (3, 4):
        raise ValueError(f"s must have shape (B, T, N) or (K, B, T, N), got {tuple(s.shape)}")
    if z0.dim() != 3:
        raise ValueError(f"z0 must have shape (K, B, M), got {tuple(z0.shape)}")
    (K, B, M), (T, N) = z0.shape, s.shape[-2:]
    shapes = (K, B, T, M if C is None else N)[4 - s.dim() :], z0.shape, (K, M), (K, M, M), (K, M, N), (K, M), (K, M)
    for i, (x, shape) in enumerate(zip(given, shapes, strict=True)):
        if x is not None and x.shape != shape:
            raise ValueError(f"{_NAMES[i]} must have shape {shape} (z0 is {tuple(z0.shape)}), got {tuple(x.shape)}")
    if 0 in (K, B, M, N, T):
        sizes = f"K={K}, B={B}, M={M}, N={N}, T={T}"
        raise ValueError(f"need at least one net, sequence, unit, input and step, got {sizes}")
    if last is not None and not (isinstance(last, (int, torch.SymInt)) and 1 <= last <= T):
        raise ValueError(f"last must be between 1 and T = {T}, got {last}")
    return here


_NAMES = ("s", "z0", "A", "W", "C", "h", "lower")


def _check_kinds(given: Sequence[Any]) -> None:
    named = {name: x for name, x in zip(_NAMES, given, strict=True) if name != "C" or x is not None}
    for name, x in named.items():
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"{name} must be a floating point tensor, got {kind}")
        check_dense(name, x)
    if len({x.dtype for x in named.values()}) > 1:
        raise TypeError(
            "all arguments must have one dtype, got " + ", ".join(f"{n} {x.dtype}" for n, x in named.items())
        )
    if len({x.device for x in named.values()}) > 1:
        raise ValueError(
            "all arguments must be on one device, got " + ", ".join(f"{n} {x.device}" for n, x in named.items())
        )


def fingerprint(x: Tensor | np.ndarray) -> str:
    """Shape, dtype and hash of an array, as text: what a table or a file says of it."""
    array = np.ascontiguousarray(x.detach().cpu().numpy() if isinstance(x, Tensor) else x)
    return f"array {array.shape} {array.dtype} {hashlib.sha256(array.tobytes()).hexdigest()[:12]}"
