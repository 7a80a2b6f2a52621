"""Language: the split, the score, the three readouts, generation, and what theory says, against constructions apart."""

import itertools
import math
from functools import cached_property

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import alrnn
from alrnn import datasets, nets, tasks, theory
from alrnn.nets import ReadoutALRNN
from alrnn.tasks.language import BLOCK, PLACES

SONG = "Now is the winter of our discontent\nMade glorious summer by this sun of York;\n\nKING RICHARD:\nHow now?\n"


class Small(tasks.Characters):
    """Characters on a text made here, so that no download is needed."""

    @cached_property
    def text(self):
        return self.encode((SONG * 1100)[: 22 * BLOCK + 777])


class Own(tasks.Words):
    """Words of a text made here."""

    @cached_property
    def _words(self):
        return "the cat sat <unk> the mat <eos>".split() * 60, "the dog sat on the cat <eos>".split() * 60


def reference(net, s):
    """y (T, O) of one sequence of words (T,), step by step, in plain torch."""
    M, P, z, out = net.hidden_size, net.nonlinear_size, torch.zeros_like(net.h), []
    bends = torch.arange(M) >= M - P
    for word in s.tolist():
        z = net.A * z + net.W @ torch.where(bends, z.clamp(min=0), z) + net.C[:, word] + net.h
        seen = torch.where(bends, z.clamp(min=0), z) if net.readout == "phi" else z
        y = net.D @ seen + net.b
        out.append(net.E @ y.clamp(min=0) + net.e if net.readout == "mlp" else y)
    return torch.stack(out)


def some(readout, P, seed=0, M=7, N=65, O=65):  # noqa: E741
    init = alrnn.Init("rotation", value=0.9, pwl=0.8, W=0.3, C=1.0, D=1.0)
    return ReadoutALRNN(N, M, P, O, readout, seed=seed, init=init).double()


@pytest.mark.parametrize("blank", [False, True])
@pytest.mark.parametrize("readout", ["linear", "phi", "mlp"])
def test_bits_equal_a_plain_loop(readout, blank):
    task = Small(length=9, warmup=3, blank=blank)
    batch = task.held_out("validation", 4)
    pair = [some(readout, P, seed=P, N=65 + blank) for P in (0, 3)]
    with torch.no_grad():
        for net, got in zip(pair, alrnn.evaluate(pair, task, batch), strict=True):
            bits = []
            for s, where in zip(batch.s, batch.info["where"], strict=True):
                y = reference(net, s)[1::2] if blank else reference(net, s)
                bits += [-F.log_softmax(y[3 + i], -1)[task.text[w]] / math.log(2) for i, w in enumerate(where)]
            assert float(got) == pytest.approx(float(sum(bits)) / len(bits), rel=1e-9)


@pytest.mark.parametrize("make", [Small, lambda **k: Own(vocabulary=6, **k)])
def test_splits_do_not_overlap_and_held_out_symbols_are_asked_once(make):
    task = make(length=20, warmup=5)
    used = {}
    for split, (starts,) in task.parts.items():
        read = (starts[:, None] + torch.arange(21)).flatten()  # with the last target
        assert read.min() >= 0 and read.max() < len(task.text)
        used[split] = set(read.tolist())
        if split != "train":
            where = task.held_out(split).info["where"].flatten()
            assert len(where) == len(where.unique())
    assert all(not used[a] & used[b] for a, b in itertools.combinations(used, 2))


def test_held_out_blocks_lie_all_over_the_text():
    task = Small()
    sizes = {split: sum(b - a for a, b in pieces) for split, pieces in task.stretches.items()}
    assert sum(sizes.values()) == len(task.text) and sizes["validation"] == sizes["test"] == BLOCK
    first = task.stretches["validation"][0][0]
    assert task.stretches["train"][0] == (0, first) and task.stretches["train"][1][0] == first + BLOCK


def test_targets_are_the_next_symbols_and_blanks_follow_each():
    plain, blank = Small(length=8, warmup=2), Small(length=8, warmup=2, blank=True)
    a, b = (t.sample(3, torch.Generator().manual_seed(1)) for t in (plain, blank))
    assert torch.equal(a.s[:, 3:], a.target[:, :-1]) and torch.equal(a.target, b.target)
    assert torch.equal(b.s[:, ::2], a.s) and (b.s[:, 1::2] == 65).all()
    assert torch.equal(b.s.gather(1, b.at - 1), a.s[:, 2:])


def test_linear_readout_is_the_net_itself():
    one, other = some("linear", 3), alrnn.ALRNN(65, 7, 3, 65)
    other = other.double()
    other.load_state_dict(one.state_dict())
    s = torch.arange(12)[None]
    assert torch.allclose(one(s)[0], other(s)[0]) and one.size() == other.size()


def test_readout_nets_are_saved_stacked_and_refused(tmp_path):
    pair = [some(r, 3).float() for r in ("linear", "phi")]  # alike in shape: one pass, each read in its own way
    s = torch.randint(65, (2, 6), generator=torch.Generator().manual_seed(0))
    both = nets.Stack(pair)(s)[0]
    assert all(torch.allclose(both[k], net(s)[0], atol=1e-5) for k, net in enumerate(pair))
    again = ReadoutALRNN(**some("mlp", 2).settings())
    assert again.E.shape == (65, 7) and again.settings()["readout"] == "mlp"
    with pytest.raises(ValueError, match="readout must be one of"):
        ReadoutALRNN(3, 4, 1, 3, "deep")
    with pytest.raises(ValueError, match="one layer"):
        ReadoutALRNN(3, 4, 1, 3, "phi", 5)


@pytest.mark.parametrize("P", [0, 1, 7])
def test_the_last_symbol_is_additive_with_a_linear_readout_alone(P):
    pasts, words = torch.tensor([[1, 2, 3], [4, 5, 6], [9, 9, 1]]), torch.arange(10)
    for readout in ("linear", "phi", "mlp"):
        net = some(readout, P, M=7)
        size = theory.last_input_interaction(net, pasts, words).abs().max()
        additive = readout == "linear" or (readout == "phi" and P == 0)
        assert (size < 1e-12) == additive, (readout, P, size)


def test_linear_nets_are_log_bilinear():
    """Unrolled by hand: the logits of P = 0 are a sum over lags, which is what `LogBilinear` adds up."""
    net, text = some("linear", 0), torch.tensor([3, 1, 4, 1, 5, 9, 2, 6])
    with torch.no_grad():
        W, lags = torch.diag(net.A) + net.W, 4
        e = torch.cat([(net.D @ torch.linalg.matrix_power(W, k) @ net.C).T for k in range(lags)])
        b = net.b + net.D @ sum(torch.linalg.matrix_power(W, k) @ net.h for k in range(lags))
        got = theory.LogBilinear(e, b).logits(text, torch.tensor([4, 8]))
        for y, stop in zip(got, (4, 8), strict=True):
            assert torch.allclose(y, net(text[None, stop - 4 : stop])[0][0, -1])


def test_floor_of_one_lag_is_the_conditional_entropy():
    text = torch.randint(4, (3000,), generator=torch.Generator().manual_seed(0))
    text[1::2] = (text[::2] + (torch.rand(1500, generator=torch.Generator().manual_seed(1)) < 0.2).long()) % 4
    where = torch.arange(1, len(text))
    count = np.zeros((4, 4))
    np.add.at(count, (text[:-1].numpy(), text[1:].numpy()), 1)
    joint = count / count.sum()
    entropy = -(joint * np.log2(count / count.sum(1, keepdims=True))).sum()
    bits = theory.log_bilinear(text, where, 1, 4, steps=400, lr=0.1).bits(text, where)
    assert entropy - 1e-6 < bits < entropy + 2e-3  # no model of one lag is below, and training comes near


def test_floor_cannot_do_xor():
    """The next symbol is the XOR of the two before: convex, and the optimum is to know nothing, one bit."""
    bit = torch.randint(2, (4000, 2), generator=torch.Generator().manual_seed(0))
    text = torch.cat([bit, bit.sum(1, keepdim=True) % 2], 1).flatten()
    where = torch.arange(5, len(text), 3)
    assert theory.log_bilinear(text, where, 2, 2, steps=300).bits(text, where) > 0.99
    with pytest.raises(ValueError, match="places in the text from 2 on"):
        theory.log_bilinear(text, torch.tensor([1]), 2, 2)


def test_kneser_ney_is_a_distribution_and_equals_the_formula():
    text = [0, 1, 0, 2, 0, 1, 1, 2, 0, 1, 0, 3]
    model = theory.KneserNey([text], 2, 5)
    for past in [(), (0,), (3,), (4,), (2, 1)]:
        assert sum(model.probability(past, x) for x in range(5)) == pytest.approx(1)
    pairs = list(itertools.pairwise(text))
    kinds = set(pairs)
    n1, n2 = (sum(pairs.count(g) == k for g in kinds) for k in (1, 2))
    d2 = n1 / (n1 + 2 * n2)
    before = [sum(g[1] == x for g in kinds) for x in range(5)]
    m1, m2 = before.count(1), before.count(2)
    d1 = m1 / (m1 + 2 * m2) if m1 else 0.5
    low = [(max(c - d1, 0) + d1 * sum(c > 0 for c in before) / 5) / sum(before) for c in before]
    follow = [pairs.count((0, x)) for x in range(5)]
    wanted = [(max(c - d2, 0) + d2 * sum(c > 0 for c in follow) * low[x]) / sum(follow) for x, c in enumerate(follow)]
    assert [model.probability((0,), x) for x in range(5)] == pytest.approx(wanted)


@pytest.mark.parametrize("blank", [False, True])
@pytest.mark.parametrize("readout", ["linear", "mlp"])
def test_generation_equals_a_loop_that_reads_all_anew(readout, blank):
    task, net = Small(blank=blank), some(readout, 3, N=65 + blank)
    start = task.encode("KING")
    got = tasks.generate(net, task, start, 12, seed=4, temperature=0.7)
    generator, text = torch.Generator().manual_seed(4), start.tolist()
    for _ in range(12):
        fed = [x for c in text for x in ((c, 65) if blank else (c,))]
        with torch.no_grad():
            odds = (reference(net, torch.tensor(fed))[-1] / 0.7).softmax(-1)
        text.append(int(torch.multinomial(odds, 1, generator=generator)))
    assert got.tolist() == text[4:] and len(task.decode(got)) == 12


def test_places_of_a_text():
    found = [PLACES[i] for i in tasks.places("O, winter's\n\nKING LEAR:\nNo")]
    assert found[:3] == ["letter 1", "punctuation", "space"]
    assert found[3:11] == [f"letter {k}" for k in (1, 2, 3, 4, 5)] + ["letter 6+"] * 3
    assert found[11:13] == ["newline"] * 2 and found[13:22] == ["name"] * 9
    assert found[22:] == ["punctuation", "newline", "letter 1", "letter 2"]


def test_words_are_the_most_frequent_and_unknown_ones_one():
    task = Own(vocabulary=4, length=6, warmup=1)
    assert task.known == ["<unk>", "the", "<eos>", "cat"]
    assert task.text[:7].tolist() == [1, 3, 0, 0, 1, 0, 2]


def test_published_parts_are_trained_on_and_held_out(monkeypatch):
    parts = {"train": "abae" * 30, "valid": "bcae" * 20, "test": "ae" * 40}
    monkeypatch.setattr(datasets, "wikitext2", parts.__getitem__)
    task = tasks.Words(3, 6, 2, published=True)
    assert task.known == ["<unk>", "a", "b"]  # of the training part
    for split, part in (("train", "train"), ("validation", "valid"), ("test", "test")):
        ((a, b),) = task.stretches[split]
        assert [task.known[i] for i in task.text[a:b]] == [w if w in task.known else "<unk>" for w in parts[part]]
    small = tasks.Words(3, 6, 2)
    assert small.stretches == {"train": [(0, 80)], "validation": [(80, 120)], "test": [(120, 160)]}
    with pytest.raises(ValueError, match="published must be True or False, got 1"):
        tasks.Words(published=1)


def test_bits_are_nats_over_log_two():
    task, y = Small(length=4, warmup=0), torch.randn(2, 3, 4, 65)
    batch = task.held_out("test", 3)
    want = nn.CrossEntropyLoss()(y[1].flatten(0, 1), batch.target.flatten()) / math.log(2)
    assert float(task.score(y, batch)[1]) == pytest.approx(float(want), rel=1e-5) and task.better == "lower"


@pytest.mark.parametrize(
    "bad", [lambda: Small(length=3, warmup=3), lambda: Small(blank=1), lambda: Small.encode("é"), lambda: Own(1)]
)
def test_bad_input_is_one_clear_error(bad):
    with pytest.raises(ValueError):
        bad()


def test_the_real_text():
    try:
        text = datasets.shakespeare()
    except datasets.DataError:
        pytest.skip("tiny Shakespeare is not at hand")
    task = tasks.Characters()
    assert sorted(set(text)) == list(tasks.Characters.decode(range(65))) and task.decode(task.text) == text
    share = torch.bincount(task.text).double() / len(text)
    assert float(-(share * share.log2()).sum()) == pytest.approx(task.chance, abs=0.01)
