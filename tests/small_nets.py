"""Nets with weights as given, in float64, for the tests that read nets region by region."""

import numpy as np
import torch

from alrnn import ALRNN


def build(W, P, h=None, A=None, C=None, D=None):
    """A float64 net with these weights."""
    W = torch.as_tensor(np.array(W, dtype=np.float64))
    M = len(W)
    C = torch.zeros(M, 1) if C is None else torch.as_tensor(np.array(C))
    D = torch.ones(1, M) if D is None else torch.as_tensor(np.array(D))
    net = ALRNN(C.shape[1], M, P, D.shape[0]).double()
    with torch.no_grad():
        for name, value in {"A": A, "W": W, "C": C, "h": h, "D": D}.items():
            getattr(net, name).copy_(torch.zeros(M) if value is None else torch.as_tensor(value))
    return net


def random_net(M, P, seed, scale=0.7, N=2):
    rng = np.random.default_rng(seed)
    W = scale * rng.normal(size=(M, M)) / np.sqrt(M)
    return build(W, P, rng.normal(size=M), 0.3 * rng.normal(size=M), rng.normal(size=(M, N)), rng.normal(size=(2, M)))


def run(net, seed=0, B=6, T=12):
    s = torch.randn(B, T, net.input_size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        return s, net(s)[1]


def step(net, z, s=None, times=1):
    """The net's own map under constant input, by its forward pass. z (..., M)."""
    z = torch.as_tensor(np.array(z)).reshape(-1, net.hidden_size)
    s = np.zeros(net.input_size) if s is None else s
    s = torch.as_tensor(np.array(s), dtype=torch.float64).expand(len(z), times, -1)
    with torch.no_grad():
        return net(s, z)[1][:, -1].numpy()
