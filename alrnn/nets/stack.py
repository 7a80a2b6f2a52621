"""K nets of one kind that run in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..checks import check_input, check_words, depth
from .net import Inputs, Net, Output, Seen


class Stack(nn.Module):
    """K nets of one kind and equal sizes, any P each, that run in one pass. All weights live in one tensor, theta.

    Args:
        nets: the nets; their weights are copied, `write_to` copies them back.

    theta: (K, n), the parameters of each net one after another. trainable: (K, n), 1 where training may change a
    number, else 0.

    Raises:
        ValueError: no nets; kinds, sizes, dtypes or devices that differ; one net, or memory of one, twice.
        TypeError: what K nets in one pass cannot carry: a `forward` of its own beside the kind's `run`, parametrised,
            pruned, tied or hooked weights, or such as cannot be written to.
    """

    def __init__(self, nets: Sequence[Net]):
        super().__init__()
        nets = list(nets)
        if not nets:
            raise ValueError("an ensemble needs at least one net")
        for net in nets:
            _check_net(net)
        self.kind, self.input_size, self.output_size = type(nets[0]), nets[0].input_size, nets[0].output_size
        self.hidden_size, self.given_size = nets[0].hidden_size, nets[0].given_size
        if len({type(net) for net in nets}) > 1:
            names = dict.fromkeys(type(net).__name__ for net in nets)
            raise ValueError(f"nets of one ensemble must be of one kind, got {', '.join(names)}")
        if len(set(map(id, nets))) < len(nets):
            raise ValueError("each net may be in an ensemble once, got one of them twice")
        facts = [{name: (w.shape, w.dtype, w.device) for name, w in net.weights().items()} for net in nets]
        places = {fact[1:] for fact in chain(*(named.values() for named in facts)) if fact[1].is_floating_point}
        if any(fact != facts[0] for fact in facts) or len(places) > 1:
            raise ValueError("nets of one ensemble must share input, hidden and output size, dtype and device")
        self.shapes = {name: p.shape for name, p in nets[0].named_parameters()}
        weights = [{name: net.get_parameter(name) for name in self.shapes} for net in nets]  # all in the first's order
        memory = [p.data_ptr() for named in weights for p in named.values() if p.numel() and not p.is_meta]
        if len(set(memory)) < len(memory):
            raise ValueError("nets of one ensemble must not share memory: give each its own weights, as net.copy() has")
        self.theta = nn.Parameter(_flat([{name: p.detach() for name, p in w.items()} for w in weights]))
        free = [{name: torch.full_like(p, p.requires_grad) for name, p in w.items()} for w in weights]
        for net, mask in zip(nets, free, strict=True):
            for name, fixed in net.fixed().items():
                mask[name].masked_fill_(fixed, 0)
        self.trainable: Tensor
        self.register_buffer("trainable", _flat(free), persistent=False)
        self.buffer_names = {name: f"of_{name.replace('.', '__')}" for name, _ in nets[0].named_buffers()}
        for name, own in self.buffer_names.items():
            self.register_buffer(own, torch.stack([dict(net.named_buffers())[name] for net in nets]), persistent=False)

    def weights(self, theta: Tensor | None = None) -> dict[str, Tensor]:
        """Parameters by name, (K, *shape), as views of theta, and buffers: what the kind's `run` takes."""
        pieces = (self.theta if theta is None else theta).split([s.numel() for s in self.shapes.values()], dim=1)
        named = {n: p.unflatten(1, s) if s else p[:, 0] for p, (n, s) in zip(pieces, self.shapes.items(), strict=True)}
        return named | {name: getattr(self, own) for name, own in self.buffer_names.items()}

    def parts(self, theta: Tensor | None = None) -> dict[str, Tensor]:
        """Parameters by name, (K, *shape), as views of theta."""
        return {name: w for name, w in self.weights(theta).items() if name in self.shapes}

    def run(self, batch: Seen, last: int | None = None, state: Any = None) -> Output:
        """The kind's `run` with the weights of all K nets; what is given is not looked at."""
        return self.kind.run(self.weights(), batch, last, state)

    def predict(self, batch: Seen, state: Any = None) -> Output:
        """The kind's `predict`, as `run`."""
        return self.kind.predict(self.weights(), batch, state)

    def forward(self, s: Tensor, last: int | None = None) -> tuple[Tensor, Tensor]:
        """Run from state zero on s (B, T, N) or (K, B, T, N), or on words, (B, T) or (K, B, T).

        `last` keeps only the last steps, L = last or T.

        Returns:
            y (K, B, L, O) and z (K, B, L, M).

        Raises:
            ValueError, TypeError: as `ALRNN`.
        """
        K, N = len(self.theta), self.input_size
        dim = s.dim() if isinstance(s, Tensor) else 0
        if not check_words(s, self.theta, (K, "B", "T") if dim == 3 else ("B", "T"), N):
            check_input("s", s, self.theta, (K, "B", "T", N) if dim == 4 else ("B", "T", N))
        steps = s.shape[-2 if s.is_floating_point() else -1]
        output = self.run(Inputs(s, steps if last is None else last))
        return output.y, output.z  # type: ignore[return-value]

    def write_to(self, nets: Sequence[Net]) -> None:
        """Copy the weights into K nets of the same kind, sizes and P, in order; ValueError for other nets."""
        if len(nets) != len(self.theta):
            raise ValueError(f"the ensemble holds {len(self.theta)} nets, got {len(nets)} to write to")
        own = [dict(net.named_parameters()) for net in nets]
        for k, net in enumerate(nets):
            if type(net) is not self.kind or {name: w.shape for name, w in own[k].items()} != self.shapes:
                raise ValueError("the nets to write to have another kind or other sizes than those of the ensemble")
            held = {name: getattr(self, own)[k] for name, own in self.buffer_names.items()}
            if not all(torch.equal(x, held[name].to(x)) for name, x in net.named_buffers()):
                raise ValueError("the nets to write to have another P than those of the ensemble, or another buffer")
        with torch.no_grad():
            for name, values in self.parts().items():
                for named, value in zip(own, values, strict=True):
                    named[name].copy_(value)


Ensemble = Stack  # its name in version 0.1.0


def _flat(named: Sequence[dict[str, Tensor]]) -> Tensor:
    return torch.stack([torch.cat([x.flatten() for x in weights.values()]) for weights in named])


def _check_net(net: Net) -> None:
    """Refuse what training all nets in one pass would pass over in silence."""
    if not isinstance(net, Net):
        raise TypeError(f"expected a net (alrnn.ALRNN or another kind of alrnn.nets.Net), got {type(net).__name__}")
    for name, module in net.named_modules():
        place, kind = f"{type(net).__name__}{f'.{name}' if name else ''}", type(module)
        if isinstance(module, Net):
            own = [own for own in ("forward", "run", "predict", "weights") if own in vars(module)]
            own += [own for own in ("forward", "weights") if depth(kind, own) < depth(kind, "run")]
            if own:
                raise TypeError(
                    f"{place} has a {own[0]} of its own, which training and scoring never call: they call the class "
                    "method run. Write that instead (alrnn.nets.Net says how), or train it in a loop of your own"
                )
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
        if parametrize.is_parametrized(module):
            raise TypeError(
                f"{place} has parametrised weights, which nets in one pass cannot have: "
                "torch.nn.utils.parametrize.remove_parametrizations makes them plain"
            )
        if any(hooks):
            raise TypeError(
                f"{place} has hooks (pruning and weight_norm are hooks, too), which nets in one pass "
                "cannot have: remove them, for pruning with torch.nn.utils.prune.remove"
            )
    names: dict[int, str] = {}
    for name, p in net.named_parameters(remove_duplicate=False):
        if p._backward_hooks or getattr(p, "_post_accumulate_grad_hooks", None):
            raise TypeError(
                f"{name} has a gradient hook, which nets in one pass never call: requires_grad=False "
                "holds a whole tensor fixed"
            )
        if p.is_inference() or p.untyped_storage().nbytes() < p.numel() * p.element_size():
            raise TypeError(f"{name} cannot be written to: it was made in inference mode, or its numbers share memory")
        if id(p) in names:
            raise TypeError(f"{name} and {names[id(p)]} are one tied tensor, which nets in one pass cannot have")
        names[id(p)] = name
