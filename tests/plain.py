"""Single nets in plain torch, one step of one net after another: what the library's passes are held against.

Nothing here uses the library, but for the number that the seeds of training data start from.
"""

import math

import torch

from alrnn.tasks.base import TRAINING


def leaves(net):
    """The parameters of a net by name, copied, as leaves of a graph of their own, in float64."""
    return {name: p.detach().double().clone().requires_grad_() for name, p in net.named_parameters()}


def almost_linear(p, P, s, z=None, at=""):
    """States (B, T, M) of one net: z_t = A z_{t-1} + W phi(z_{t-1}) + C s_t + h; a word -1 leaves it alone."""
    A, W, C, h = (p[at + name] for name in "AWCh")
    M = len(h)
    pwl = torch.tensor([i >= M - P for i in range(M)])
    z, states = torch.zeros(len(s), M, dtype=h.dtype) if z is None else z, []
    for t in range(s.shape[1]):
        drive = s[:, t] @ C.T if s.is_floating_point() else C.T[s[:, t].clamp(min=0)]
        new = z * (A * pwl) + torch.where(pwl, torch.relu(z), z) @ W.T + drive + h
        z = new if s.is_floating_point() else torch.where(s[:, t, None] < 0, z, new)
        states.append(z)
    return torch.stack(states, 1)


def lstm(p, s, state=None):
    """Gate by gate: h (B, T, M), and h and c after the last step."""
    M = p["cells.weight_hh_l0"].shape[1]
    h, c = (torch.zeros(len(s), M, dtype=s.dtype),) * 2 if state is None else state
    states = []
    for t in range(s.shape[1]):
        gates = s[:, t] @ p["cells.weight_ih_l0"].T + p["cells.bias_ih_l0"]
        gates = gates + h @ p["cells.weight_hh_l0"].T + p["cells.bias_hh_l0"]
        i, f, g, o = gates.split(M, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        states.append(h)
    return torch.stack(states, 1), (h, c)


def linear(p, z, at=""):
    return z @ p[at + "D"].T + p[at + "b"]


def stream(seed):
    """What the training data of a net with this seed are drawn with."""
    return torch.Generator().manual_seed(TRAINING + seed)


def rate(step, steps, lr, warmup=0.05):
    """A linear rise, then half a cosine down to 0."""
    rise = max(1, round(warmup * steps))
    return lr * ((step + 1) / rise if step < rise else (1 + math.cos(math.pi * (step - rise) / (steps - rise))) / 2)


def train(p, loss, steps, lr, clip=0.1):
    """Adam on p in place, the gradient clipped to norm `clip`; loss(step) is a scalar. The losses and norms."""
    adam, losses, norms = torch.optim.Adam(p.values()), [], []
    for step in range(steps):
        adam.zero_grad()
        value = loss(step)
        value.backward()
        grads = [x.grad for x in p.values() if x.grad is not None]
        norms.append(math.sqrt(sum(g.square().sum().item() for g in grads)))
        for g in grads:
            g.mul_(min(1.0, clip / max(norms[-1], 1e-300)))
        adam.param_groups[0]["lr"] = rate(step, steps, lr)
        adam.step()
        losses.append(value.item())
    return losses, norms


def close(found, expected, tolerance=1e-9):
    found, expected = (
        x.to(torch.float64) if isinstance(x, torch.Tensor) else torch.tensor(x, dtype=torch.float64)
        for x in (found, expected)
    )
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def same_weights(net, p, tolerance=1e-9):
    """That a net has the weights of this dict."""
    for name, x in net.named_parameters():
        close(x.detach(), p[name].detach(), tolerance)
