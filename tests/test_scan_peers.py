"""Pairs of torch's layers, which are compared on SCAN: against torch's modules, text by text."""

import sys
from pathlib import Path

import pytest
import torch
from plain import close
from test_encoder_decoder import START, STOP, Say, V, batch_for, plain_loss
from torch import nn

from alrnn import Stack, fit
from alrnn.nets import EncoderDecoder, rebuilt, told
from alrnn.tasks import SCAN
from alrnn.train import scores

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from scan_peers import GRUPair, LSTMPair, pair

KINDS = [GRUPair, LSTMPair]


def modules(net):
    """Encoder, decoder and readout of the same pair, of torch's own modules."""
    made = []
    for part in (net.encoder, net.decoder):
        words = nn.Embedding(*part.vectors.weight.shape).double()
        words.load_state_dict(part.vectors.state_dict())
        layer = {"gru": nn.GRU, "lstm": nn.LSTM}[net.kind](net.hidden_size, net.hidden_size, batch_first=True).double()
        layer.load_state_dict(part.cells.state_dict())
        made.append(nn.ModuleDict({"vectors": words, "cells": layer}))
    readout = nn.Linear(net.hidden_size, net.output_size).double()
    readout.load_state_dict(net.decoder.readout.state_dict())
    return *made, readout


def read_by(part, words, state=None):
    return part.cells(part.vectors(words)[None], state)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_torchs_modules(kind):
    """Values, gradients and answers, symbol by symbol; of texts that begin late, too."""
    task, lengths = Say(6, late=True), []
    nets, batch = [kind(V, 6, V + 1, STOP, seed).double() for seed in range(3)], batch_for(task, 12)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for k, net in enumerate(nets):
            for p in net.parameters():
                p.add_(0.6 * torch.randn(p.shape, generator=generator, dtype=torch.float64))
            net.decoder.readout.bias[STOP] += k
    stack = Stack(nets)
    output, free = stack.run(batch), stack.predict(batch)
    task.loss(output.y, batch).sum().backward()
    grads = stack.parts(stack.theta.grad)
    for k, net in enumerate(nets):
        encoder, decoder, readout = modules(net)
        ys = []
        for i, text in enumerate(batch.s):
            state = read_by(encoder, text[text >= 0])[1]
            h = read_by(decoder, batch.given[i], state)[0]
            close(output.z[k, i], h[0])
            ys.append(readout(h)[0])
            said = [START]
            while len(said) <= 5 and said[-1] != STOP:
                h, state = read_by(decoder, torch.tensor(said[-1:]), state)
                said.append(readout(h).argmax().item())
            assert free.y[k, i].argmax(-1).tolist() == said[1:] + [STOP] * (6 - len(said))
            lengths.append(len(said))
        y = torch.stack(ys)
        close(output.y[k], y)
        plain_loss(task, y, batch).backward()
        for at, part in (("encoder.", encoder), ("decoder.", decoder), ("decoder.readout.", readout)):
            for name, p in part.named_parameters():
                close(grads[at + name][k], p.grad)
    assert len(set(lengths)) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_they_learn_are_kept_and_as_large_as_the_almost_linear_pair(kind):
    task, net = Say(), kind(V, 12, V + 1, STOP, 2)
    before = scores(net, task, task.held_out("test"))["exact"].value.item()
    fit(net, task, steps=400, lr=1e-2, progress=False)
    assert scores(net, task, task.held_out("test"))["exact"].value.item() > before + 0.3
    assert isinstance(rebuilt(*told(net), kinds=[kind]), kind) and net.describe()["M"] == 12
    scan = SCAN("simple")
    mine = pair(kind, scan, 0)
    theirs = EncoderDecoder(scan.input_size, 64, 64, scan.output_size, 0, scan.given_size, scan.stop)
    assert abs(mine.size() / theirs.size() - 1) < 0.05 and mine.size() == sum(p.numel() for p in mine.parameters())
