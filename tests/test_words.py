"""Nets that answer with the word vectors they read with: against the same net untied, with its readout set so."""

import sys
from pathlib import Path

import pytest
import torch
from test_language import Own, reference, some

from alrnn import Stack

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from words import KINDS, Tied, net, pieces


@pytest.mark.parametrize("blank", [False, True])
def test_tied_nets_are_untied_ones_that_answer_with_their_words(blank):
    task = Own(5, 9, 3, blank)
    batch = task.held_out("validation", 4)
    tied = [Tied(5 + blank, 7, P, 5, seed=P).double() for P in (0, 4)]
    stack = Stack(tied)
    output = stack.run(batch)
    task.loss(output.y, batch).sum().backward()
    for k, one in enumerate(tied):
        plain = some("linear", one.nonlinear_size, N=5 + blank, O=5)
        with torch.no_grad():
            for name, p in one.named_parameters():
                getattr(plain, name).copy_(p)
            plain.D.copy_(one.C.T[:5])
        ys = torch.stack([reference(plain, s) for s in batch.s])
        torch.testing.assert_close(output.y[k], ys[:, 7::2] if blank else ys[:, 3:])
        own = Stack([plain])
        task.loss(own.run(batch).y, batch).sum().backward()
        grads = own.parts(own.theta.grad)
        grads["C"][0, :, :5] += grads["D"][0].mT
        torch.testing.assert_close(stack.parts(stack.theta.grad)["C"][k], grads["C"][0])
        assert plain.size() - one.size() == 5 * 7


@pytest.mark.parametrize("P", [0, 4])
def test_the_last_words_votes_of_a_tied_net_are_symmetric_without_a_blank_step(P):
    """Centred over words read and words expected they are those of C^T C; in the mean a word votes for itself."""

    def votes(blank):
        one = Tied(6 + blank, 7, P, 6, init=some("linear", P).init).double()
        last = torch.arange(6)[:, None]
        past = torch.tensor([[0, 3, 1]]).expand(6, 3)
        s = torch.cat([past, last] + [torch.full_like(last, 6)] * blank, 1)
        y = one(s)[0][:, -1].detach()
        return y - y.mean(0) - y.mean(1, keepdim=True) + y.mean(), one

    found, one = votes(blank=False)
    C = one.C.detach() - one.C.detach().mean(1, keepdim=True)
    torch.testing.assert_close(found, C.T @ C)
    torch.testing.assert_close(found, found.T)
    assert found.diagonal().sum() > 0
    with_blank, _ = votes(blank=True)
    assert (with_blank - with_blank.T).abs().max() > 0.1


def test_peers_are_as_large():
    task = Own(300, 9, 3)
    count = net("alrnn", "linear", task, 64, 0).size()
    for model in ("gru", "lstm"):
        assert abs(net(model, "linear", task, 64, 0).size() / count - 1) < 0.02


def test_every_kind_is_trained_at_each_of_its_rates_and_no_row_stands_twice():
    rows = [tuple(about.values()) for about, _ in pieces(published=False)]
    assert len(set(rows)) == len(rows)
    for kind in KINDS:
        assert len({lr for *found, V, lr, _ in rows if tuple(found) == kind and V == 2_000}) == 3
