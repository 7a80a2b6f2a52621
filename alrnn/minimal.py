"""The whole idea: an Almost-Linear RNN adds two marked numbers, or cannot."""

import torch
from torch import nn


class AlmostLinearRNN(nn.Module):
    """z_t = A z_{t-1} + W phi(z_{t-1}) + C s_t + h; phi is ReLU on P of M units."""

    def __init__(self, N, M, P, O, seed=0):  # noqa: E741
        super().__init__()
        normal = torch.Generator().manual_seed(seed)
        pwl = torch.arange(M) >= M - P  # not [-P:], which is every unit if P = 0
        self.lower = torch.where(pwl, 0.0, -torch.inf)
        self.A = nn.Parameter(torch.zeros(M))  # PWL units' own; else W_ii
        noise = 0.01 * torch.randn(M, M, generator=normal)
        self.W = nn.Parameter(torch.diag(1.0 - 1.0 * pwl) + noise)
        self.C = nn.Parameter(0.5 * torch.randn(M, N, generator=normal))
        self.h = nn.Parameter(-0.3 * pwl)
        self.D = nn.Parameter(0.1 * torch.randn(O, M, generator=normal))
        self.b = nn.Parameter(torch.zeros(O))

    def forward(self, s):
        """s (B, T, N) -> y (B, T, O) and z (B, T, M)."""
        z, states = torch.zeros(len(s), len(self.h), dtype=s.dtype), []
        A = self.A * (self.lower == 0)
        for s_t in s.unbind(1):
            phi = torch.maximum(z, self.lower)  # one formula for every P
            z = A * z + phi @ self.W.T + s_t @ self.C.T + self.h
            states.append(z)
        return torch.stack(states, 1) @ self.D.T + self.b, torch.stack(states, 1)


def adding(n, T, generator):
    """Numbers and marks, s (n, T, 2), two in the first half; their sum, (n, 1)."""
    x = torch.rand(n, T, generator=generator)
    two = torch.rand(n, T // 2, generator=generator).argsort(1)[:, :2]
    marks = torch.zeros(n, T).scatter(1, two, 1.0)
    return torch.stack([x, marks], 2), (x * marks).sum(1, keepdim=True)


def train(P, T=20, M=5, steps=1000, seed=0):
    """The mean squared error on new sequences after training."""
    data = torch.Generator().manual_seed(1000 + seed)
    net = AlmostLinearRNN(2, M, P, 1, seed)
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(steps):
        s, target = adding(64, T, data)
        adam.zero_grad()
        (net(s)[0][:, -1] - target).square().mean().backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.1)
        adam.step()
    s, target = adding(10_000, T, torch.Generator().manual_seed(9))
    return (net(s)[0][:, -1] - target).square().mean().item()


if __name__ == "__main__":
    print(f"no linear net gets below {(1 - 4 / 20) / 6:.4f}")
    for P in (0, 1, 2):
        print(f"P = {P}: error {train(P):.4f}")
