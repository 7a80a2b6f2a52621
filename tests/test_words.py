"""Nets that answer with the word vectors they read with: against the same net untied, with its readout set so."""

import sys
from pathlib import Path

import pytest
import torch
from test_language import Own, reference, some

from alrnn import Stack

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from words import Tied, net


@pytest.mark.parametrize("readout", ["linear", "phi"])
def test_tied_nets_are_untied_ones_that_read_with_their_words(readout):
    task = Own(5, 9, 3)
    batch = task.held_out("validation", 4)
    tied = [Tied(5, 7, P, readout, seed=P).double() for P in (0, 4)]
    stack = Stack(tied)
    output = stack.run(batch)
    task.loss(output.y, batch).sum().backward()
    for k, one in enumerate(tied):
        plain = some(readout, one.nonlinear_size, N=5, O=5)
        with torch.no_grad():
            for name, p in one.named_parameters():
                getattr(plain, name).copy_(p)
            plain.D.copy_(one.C.T)
        ys = torch.stack([reference(plain, s) for s in batch.s])[:, -output.y.shape[2] :]
        torch.testing.assert_close(output.y[k], ys)
        own = Stack([plain])
        task.loss(own.run(batch).y, batch).sum().backward()
        grads = own.parts(own.theta.grad)
        torch.testing.assert_close(stack.parts(stack.theta.grad)["C"][k], grads["C"][0] + grads["D"][0].mT)
        assert plain.size() - one.size() == 5 * 7


def test_peers_are_as_large():
    task = Own(300, 9, 3)
    count = net("alrnn", "linear", task, 64, 0).size()
    for model in ("gru", "lstm"):
        assert abs(net(model, "linear", task, 64, 0).size() / count - 1) < 0.02
