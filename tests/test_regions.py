"""Regions against closed forms, the net's own forward pass, and searches written without the library."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import build, random_net, run

from alrnn import ALRNN, Init, nets
from alrnn import regions as rg
from alrnn.nets import Inputs
from alrnn.recurrence import reference

# visits


@pytest.mark.parametrize("M, P", [(5, 0), (5, 1), (5, 3), (5, 5), (64, 63), (70, 64), (80, 80), (140, 130)])
def test_visits_against_bits_of_states(M, P):
    net = random_net(M, P, 1)
    z = run(net)[1]
    seen = rg.visits(net, z)
    truth = (z[..., M - P :] > 0).numpy()
    assert (seen.bits[seen.index] == truth).all() and seen.index.shape == (6, 12)
    assert len({tuple(row) for row in seen.bits}) == len(seen.bits) == len(set(map(tuple, truth.reshape(72, P))))
    assert (np.bincount(seen.index.ravel()) == seen.counts).all() and (np.diff(seen.counts) <= 0).all()
    assert seen.codes == ["".join(str(b) for b in row) for row in seen.bits]
    assert (rg.visits(net, z.float().numpy()).bits == seen.bits).all()


def test_zero_is_off_and_states_choose_the_next_map():
    net = random_net(4, 3, 2)
    assert rg.visits(net, torch.zeros(1, 1, 4)).codes == ["000"]
    s, z = run(net)
    seen = rg.visits(net, z)
    J = torch.as_tensor(rg.jacobians(net, seen.bits))[seen.index]
    following = (J[:, :-1] @ z[:, :-1, :, None])[..., 0] + s[:, 1:] @ net.C.detach().T + net.h.detach()
    assert torch.allclose(following, z[:, 1:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(0, 5, 4), (3, 0, 4), (0, 0, 4)])
@pytest.mark.parametrize("P", [0, 2, 4])
def test_no_visits(shape, P):
    net = random_net(4, P, 0)
    seen = rg.visits(net, torch.zeros(shape))
    assert seen.bits.shape == (0, P) and seen.counts.shape == (0,) and seen.index.shape == shape[:2]
    assert np.isnan(rg.occupancy(seen).effective) and np.isnan(rg.occupancy(seen, "all").gini)
    assert rg.transition_matrix(seen).shape == (0, 0)
    assert rg.dwell_times(seen).steps.shape == (0,) and rg.dwell_times(seen).mean.shape == (0,)
    assert np.isnan(rg.switches(seen).rate).all() and rg.switches(seen).count.shape == (P,)
    assert rg.contingency(seen, np.zeros((shape[0], 1))).empty
    assert rg.fixed_points(net, bits=seen.bits) == []
    with pytest.raises(ValueError, match="must hold states"):
        rg.principal_components(torch.zeros(shape))


def test_visits_errors():
    net = random_net(4, 2, 0)
    for bad in (torch.zeros(2, 4), torch.zeros(2, 3, 5)):
        with pytest.raises(ValueError, match=r"z must have shape \(B, T, 4\)"):
            rg.visits(net, bad)
    with pytest.raises(ValueError, match="NaN"):
        rg.visits(net, torch.full((1, 1, 4), torch.nan))


def test_what_is_no_array_of_states():
    net = random_net(4, 2, 0)
    s = torch.ones(2, 3, 2, dtype=torch.float64)
    z = net(s)[1]
    assert z.requires_grad and (rg.visits(net, z).index == rg.visits(net, z.detach().numpy()).index).all()
    for whole in (net(s), list(net(s)), net.run({k: x[None] for k, x in net.weights().items()}, Inputs(s, 3))):
        with pytest.raises(TypeError, match="pass z of `y, z = net"):
            rg.visits(net, whole)
        with pytest.raises(TypeError, match="pass z of `y, z = net"):
            rg.principal_components(whole)
    assert rg.visits(net.bfloat16(), z.bfloat16()).counts.sum() == 6


# padding


@given(st.integers(0, 10_000), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_padding_is_no_state(seed, P):
    """Everything that is said of padded sequences is what is said of the sequences one by one."""
    net, rng = random_net(4, P, seed), np.random.default_rng(seed)
    z = rng.normal(size=(5, 9, 4))
    length = rng.integers(0, 10, 5)
    label = rng.integers(0, 3, (5, 9))
    padded = z.copy()
    padded[np.arange(9) >= length[:, None]] = np.nan  # not even looked at
    seen = rg.visits(net, padded, length)
    assert (rg.visits(net, padded, torch.as_tensor(np.arange(9) < length[:, None])).index == seen.index).all()
    assert ((seen.index == -1) == (np.arange(9) >= length[:, None])).all()
    alone = [rg.visits(net, z[b : b + 1, :n]) for b, n in enumerate(length)]
    codes = seen.codes

    def total(count):
        """Over sequences one by one, {name: number}, in the order of names of all."""
        return {name: sum(one.get(name, 0) for one in map(count, alone)) for name in count(seen)}

    assert seen.counts.sum() == length.sum() and set(codes) == {c for one in alone for c in one.codes}
    assert total(lambda v: dict(zip(v.codes, v.counts, strict=True))) == dict(zip(codes, seen.counts, strict=True))

    def pairs(v):
        return {(a, b): n for a, row in zip(v.codes, rg.transition_counts(v), strict=True)
                for b, n in zip(v.codes, row, strict=True)}  # fmt: skip

    assert total(pairs) == pairs(seen) and rg.transition_counts(seen).sum() == np.maximum(length - 1, 0).sum()
    sparse = rg.transition_counts(seen, sparse=True)
    assert (sparse.toarray() == rg.transition_counts(seen)).all() and sparse.shape == (len(codes),) * 2
    stays = [(v.codes[r], n, c) for v in alone for d in [rg.dwell_times(v)]
             for r, n, c in zip(d.region, d.steps, d.cut, strict=True)]  # fmt: skip
    dwell = rg.dwell_times(seen)
    assert [(codes[r], n, c) for r, n, c in zip(dwell.region, dwell.steps, dwell.cut, strict=True)] == stays
    assert dwell.steps.sum() == length.sum()
    assert (rg.switches(seen).count == sum(rg.switches(v).count for v in alone)).all()
    rate = rg.switches(seen).count / max(np.maximum(length - 1, 0).sum(), 1e-300)
    assert np.isnan(rg.switches(seen).rate).all() or rg.switches(seen).rate == pytest.approx(rate)
    if length.sum():
        assert rg.occupancy(seen).share == pytest.approx(seen.counts / length.sum())
    table = rg.contingency(seen, label)
    assert table.to_numpy().sum() == length.sum()
    where = rng.integers(0, 2, (5, 1)).astype(bool)
    some = rg.contingency(seen, label, where)
    for code in codes:
        for value in some.columns:
            here = [(z[b, t, 4 - P :] > 0).astype(int).tolist() == [int(c) for c in code] and label[b, t] == value
                    for b in range(5) for t in range(length[b]) if where[b]]  # fmt: skip
            assert some.loc[code, value] == sum(here)


def test_a_stay_that_the_true_end_cuts_is_cut():
    net = random_net(2, 1, 0)
    z = np.zeros((1, 6, 2))
    z[0, :, 1] = [-1, 1, 1, -1, -1, -1]
    assert list(rg.dwell_times(rg.visits(net, z, [6])).cut) == [True, False, True]
    assert list(rg.dwell_times(rg.visits(net, z, [3])).cut) == [True, True]
    hole = rg.dwell_times(rg.visits(net, z, np.array([[True, True, False, True, True, True]])))
    assert list(hole.steps) == [1, 1, 3] and hole.cut.all()


def test_lengths_that_cannot_be():
    net, z = random_net(4, 2, 0), np.zeros((3, 5, 4))
    for bad in ([5, 5], [1, 2, 6], [1, -1, 2], [1.0, 2.0, 3.0], np.ones((3, 4), bool), 5):
        with pytest.raises(ValueError, match="length must be 3 integers from 0 to T = 5, or bool"):
            rg.visits(net, z, bad)
    with pytest.raises(ValueError, match="NaN"):
        rg.visits(net, np.full((1, 5, 4), np.nan), [1])
    assert rg.visits(net, np.full((1, 5, 4), np.nan), [0]).counts.shape == (0,)


def test_many_regions_make_no_dense_matrix():
    R = 5000
    seen = rg.Visits(np.zeros((R, 13), np.int8), np.arange(R)[None], np.ones(R, int))
    with pytest.raises(ValueError, match="sparse=True"):
        rg.transition_counts(seen)
    with pytest.raises(ValueError, match="5000 regions"):
        rg.transition_matrix(seen)
    counts = rg.transition_counts(seen, sparse=True)
    assert counts.nnz == R - 1 and counts.shape == (R, R) and (counts.diagonal(1) == 1).all()


# information


def told(bits, label=None, **options):
    """Information of one bitcode a trial, (B, P)."""
    net = rg.Map(np.zeros(np.shape(bits)[1]), np.zeros((np.shape(bits)[1],) * 2), np.zeros(np.shape(bits)[1]),
                 nonlinear_size=np.shape(bits)[1])  # fmt: skip
    return rg.information(rg.visits(net, np.array(bits, float)[:, None]), np.array(label)[:, None], **options)


def test_information_against_closed_forms():
    both = np.array(list(itertools.product((0, 1), repeat=3)) * 50)
    parity = both[:, :2].sum(1) % 2
    assert told(both, both[:, 0], units=[0]).raw == pytest.approx(1)  # the label itself
    assert told(both, parity, units=[0]).raw == pytest.approx(0, abs=1e-12)  # neither alone says anything
    assert told(both, parity, units=[0, 1]).raw == pytest.approx(1)  # both do
    assert told(both, both @ [4, 2, 1]).raw == pytest.approx(3) and told(both, parity, units=[]).raw == 0
    noisy = np.repeat([[0], [0], [0], [1]], 100, axis=0), np.tile([0, 0, 0, 1], 100)
    independent = told(*noisy)
    assert independent.raw == pytest.approx(0, abs=1e-12)
    flipped = np.r_[np.zeros(90), np.ones(10), np.zeros(10), np.ones(90)]  # a channel that flips one bit in ten
    entropy = -(0.1 * np.log2(0.1) + 0.9 * np.log2(0.9))
    channel = told(flipped[:, None], np.repeat([0, 1], 100), shuffles=200)
    assert channel.raw == pytest.approx(1 - entropy)
    assert channel.mean == pytest.approx(1 / (2 * 200 * np.log(2)), rel=0.4)  # the bias known for 2 x 2 counts
    assert channel.corrected == channel.raw - channel.mean and channel.spread < 0.02


def test_information_of_chance_is_corrected():
    rng = np.random.default_rng(0)
    found = [told(rng.integers(0, 2, (60, 3)), rng.integers(0, 4, 60), shuffles=50, seed=i) for i in range(40)]
    assert np.mean([x.raw for x in found]) > 0.2  # 8 patterns by 4 labels from 60 trials
    assert abs(np.mean([x.corrected for x in found])) < 0.03
    spread = np.mean([x.spread for x in found])
    assert np.std([x.corrected for x in found]) == pytest.approx(spread, rel=0.5)


def test_shuffles_move_whole_sequences():
    """States that stay for a whole sequence: among 8 sequences, 2 labels always fit by chance, whatever the T."""
    rng = np.random.default_rng(1)
    net = random_net(2, 1, 0)
    label = np.repeat([0, 1], 4)[:, None]
    by_length = []
    for T in (1, 200):
        z = np.repeat(rng.permutation([-1.0, -1, -1, -1, 1, 1, 1, 1])[:, None, None], T, 1) * np.ones((8, T, 2))
        found = rg.information(rg.visits(net, z), label, shuffles=400)
        by_length.append(found)
        assert found.mean > 0.05 and found.spread > 0.1  # 200 times as many states are no more evidence
    assert by_length[0].mean == pytest.approx(by_length[1].mean, abs=0.05)


def test_information_where_and_padding():
    rng = np.random.default_rng(0)
    net, B, T = random_net(3, 2, 0), 40, 6
    label, z = rng.integers(0, 2, B), rng.normal(size=(B, T, 3))
    z[:, 2, 1] = label - 0.5  # unit 0 tells the label at step 2 alone
    seen = rg.visits(net, z)
    step = (np.arange(T) == 2)[None]
    assert rg.information(seen, label[:, None], [0], step).raw == pytest.approx(
        rg.information(rg.visits(net, z[:, 2:3]), label[:, None], [0]).raw
    )
    H = -np.mean(label) * np.log2(np.mean(label)) - np.mean(1 - label) * np.log2(np.mean(1 - label))
    assert rg.information(seen, label[:, None], [0], step).raw == pytest.approx(H)
    assert rg.information(seen, label[:, None], [1], step).corrected < 0.2
    length = rng.integers(3, T + 1, B)
    garbage = z.copy()
    garbage[np.arange(T) >= length[:, None]] = 1e9
    cut = rg.information(rg.visits(net, garbage, length), np.broadcast_to(label[:, None], (B, T)), [0], step)
    assert cut.raw == pytest.approx(H)
    full = rg.information(rg.visits(net, garbage, length), np.broadcast_to(label[:, None], (B, T)), [0])
    kept = np.arange(T) < length[:, None]
    on, told_label = (z[..., 1] > 0)[kept], np.broadcast_to(label[:, None], (B, T))[kept]
    p = pd.crosstab(on, told_label).to_numpy() / kept.sum()
    assert full.raw == pytest.approx((p * np.log2(p / (p.sum(1, keepdims=True) * p.sum(0)))).sum())


def test_information_errors():
    net, z = random_net(3, 2, 0), np.random.default_rng(0).normal(size=(4, 3, 3))
    seen, label = rg.visits(net, z), np.array([[0], [1], [0], [1]])
    for bad in (np.zeros((4, 1)), np.array([[0, 1, 2]])):
        with pytest.raises(ValueError, match="differ between sequences"):
            rg.information(seen, bad)
    with pytest.raises(ValueError, match="states that count"):
        rg.information(seen, label, where=np.zeros((4, 1), bool))
    with pytest.raises(ValueError, match="unit must be an integer from 0 to P - 1 = 1"):
        rg.information(seen, label, units=[2])
    with pytest.raises(ValueError, match="shuffles"):
        rg.information(seen, label, shuffles=1)
    with pytest.raises(ValueError, match="where must have shape"):
        rg.information(seen, label, where=np.ones(4))


# statistics of visits


def visits_of(index, P=4):
    """Visits with given region numbers (B, T)."""
    index = np.array(index)
    R = index.max() + 1
    bits = (np.arange(R)[:, None] >> np.arange(P)) & 1
    return rg.Visits(bits.astype(np.int8), index, np.bincount(index.ravel(), minlength=R))


def gini_by_pairs(x):
    """Half the relative mean absolute difference: the definition."""
    x = np.asarray(x, dtype=float)
    return np.abs(x[:, None] - x).mean() / (2 * x.mean())


@given(st.lists(st.integers(1, 50), min_size=1, max_size=16))
def test_occupancy_against_definitions(counts):
    seen = rg.Visits(
        np.zeros((len(counts), 4), np.int8), np.repeat(np.arange(len(counts)), counts)[None], np.array(counts)
    )
    visited, everything = rg.occupancy(seen), rg.occupancy(seen, "all")
    assert visited.gini == pytest.approx(gini_by_pairs(counts), abs=1e-12) and visited.support == "visited"
    padded = counts + [0] * (16 - len(counts))
    assert everything.gini == pytest.approx(gini_by_pairs(padded), abs=1e-12) and everything.support == "all"
    p = np.array(counts) / sum(counts)
    assert visited.effective == pytest.approx(np.prod(p**-p)) and visited.entropy == pytest.approx(
        np.log(visited.effective)
    )
    assert visited.share == pytest.approx(p)
    assert visited.corrected == pytest.approx(visited.effective * np.exp((len(counts) - 1) / 2 / sum(counts)))


def test_the_correction_takes_off_most_of_the_bias_of_few_visits():
    """40 draws from 32 equal regions: the entropy of the counts is too low, that with the correction much less so."""
    drawn = np.random.default_rng(0).integers(32, size=(400, 40))
    plain, corrected = [], []
    for index in drawn:
        _, index, counts = np.unique(index, return_inverse=True, return_counts=True)
        use = rg.occupancy(rg.Visits(np.zeros((len(counts), 5), np.int8), index[None], counts))
        plain.append(use.entropy), corrected.append(np.log(use.corrected))
    bias = np.log(32) - np.array([np.mean(plain), np.mean(corrected)])
    assert bias[0] > 0.3 and abs(bias[1]) < bias[0] / 2


def test_gini_depends_on_its_support():
    one = rg.visits(random_net(90, 80, 0), torch.ones(2, 3, 90))
    assert rg.occupancy(one).gini == 0 and rg.occupancy(one).effective == 1
    assert rg.occupancy(one, "all").gini == 1 - 2.0**-80
    with pytest.raises(ValueError, match="support"):
        rg.occupancy(one, "some")


def test_transitions_by_hand_last_step_included():
    seen = visits_of([[0, 0, 1, 0, 2], [1, 1, 1, 0, 3]])
    assert (rg.transition_counts(seen) == [[1, 1, 1, 1], [2, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]).all()
    expected = [[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert (rg.transition_matrix(seen) == expected).all()
    assert (rg.transition_matrix(visits_of([[0], [1]])) == np.eye(2)).all()


@pytest.mark.parametrize("P", [0, 1, 5, 8])
def test_transitions_dwell_and_switches_against_loops(P):
    net = random_net(8, P, 3)
    z = run(net, B=7, T=20)[1]
    seen = rg.visits(net, z)
    R = len(seen.counts)
    counted = np.zeros((R, R), int)
    stays = []
    for row in seen.index.tolist():
        for i, j in itertools.pairwise(row):
            counted[i, j] += 1
        lengths = [(region, len(list(group))) for region, group in itertools.groupby(row)]
        stays += [(*stay, n in (0, len(lengths) - 1)) for n, stay in enumerate(lengths)]
    assert (rg.transition_counts(seen) == counted).all()
    assert rg.transition_matrix(seen).sum(1) == pytest.approx(np.ones(R))
    dwell = rg.dwell_times(seen)
    assert list(zip(dwell.region.tolist(), dwell.steps.tolist(), dwell.cut.tolist(), strict=True)) == stays
    assert dwell.mean == pytest.approx([np.mean([n for r, n, _ in stays if r == region]) for region in range(R)])
    on = z[..., 8 - P :].numpy() > 0
    assert (rg.switches(seen).count == (on[:, 1:] ^ on[:, :-1]).sum((0, 1))).all()
    assert rg.switches(seen).rate == pytest.approx((on[:, 1:] ^ on[:, :-1]).mean((0, 1)))


def test_contingency_against_crosstab():
    net = random_net(6, 3, 4)
    seen = rg.visits(net, run(net, B=12, T=12)[1])
    rng = np.random.default_rng(0)
    names = np.array(["cue", "delay", "recall"])
    for label in (rng.integers(0, 3, (12, 12)), rng.integers(0, 2, (12, 1)), names[rng.integers(0, 3, (1, 12))]):
        table = rg.contingency(seen, label)
        full = np.broadcast_to(label, (12, 12)).ravel()
        expected = pd.crosstab(np.array(seen.codes)[seen.index.ravel()], full).loc[seen.codes]
        assert (table.to_numpy() == expected.to_numpy()).all() and list(table.columns) == list(expected.columns)
        assert list(table.index) == seen.codes and table.index.name == "region"
    assert (rg.contingency(seen, torch.zeros(12, 1)).to_numpy()[:, 0] == seen.counts).all()
    for bad in (np.zeros(12), np.zeros((12, 11)), np.zeros((1, 1, 12))):
        with pytest.raises(ValueError, match="label must have shape"):
            rg.contingency(seen, bad)


# maps


@pytest.mark.parametrize("P", [0, 2, 5])
def test_a_map_says_what_the_net_says(P):
    net = random_net(5, P, 3)
    m = rg.Map(net.A, net.W.detach().numpy(), net.h.tolist(), net.C, nonlinear_size=P)
    s, z = run(net)
    assert (rg.visits(m, z).index == rg.visits(net, z).index).all()
    for p, q in zip(rg.fixed_points(m, [0.5, 1.0]), rg.fixed_points(net, [0.5, 1.0]), strict=True):
        assert (p.z == q.z).all() and p.real == q.real
    bits = [1] * P
    assert (rg.jacobians(m, bits) == rg.jacobians(net, bits)).all()
    assert (rg.spectrum(m, bits).right == rg.spectrum(net, bits).right).all()
    for t in range(3):
        driven = m.step(z[:, t].numpy(), m.h + s[:, t + 1].numpy() @ m.C.T)
        assert driven == pytest.approx(z[:, t + 1].numpy(), abs=1e-12)
    assert m.bits(z.numpy()).tolist() == (z[..., 5 - P :] > 0).int().tolist()
    assert rg.Map.of(m) is m and (rg.Map.of(net.float()).W.dtype, m.hidden_size) == (np.float64, 5)


def test_a_relu_rnn_read_as_a_map():
    """torch's own: z is what comes before the ReLU, so all units are PWL units."""
    rnn = torch.nn.RNN(2, 6, nonlinearity="relu", batch_first=True).double()
    h = rnn.bias_ih_l0 + rnn.bias_hh_l0
    m = rg.Map(torch.zeros(6), rnn.weight_hh_l0, h, rnn.weight_ih_l0, nonlinear_size=6)
    for p in rg.fixed_points(m, [0.3, -0.4], virtual=False):
        output = torch.as_tensor(p.z).relu()[None, None]
        s = torch.tensor([[[0.3, -0.4]]], dtype=torch.float64)
        assert rnn(s, output)[1].detach().numpy() == pytest.approx(output.numpy(), abs=1e-9)
    assert rg.attractors(m, np.zeros((1, 6)), 300, [0.3, -0.4])[0].kind in ("fixed point", "cycle", "diverging")


def test_parts_of_nets_are_read():
    both = nets.EncoderDecoder(2, 5, 2, 3, nonlinear_encoder=4)
    assert len(rg.fixed_points(both.encoder)) == 16 and len(rg.fixed_points(both.decoder)) == 4
    with pytest.raises(TypeError, match="expected an ALRNN, or part of a net that is one"):
        rg.fixed_points(both)


def test_maps_that_cannot_be():
    A, W, h = np.zeros(3), np.zeros((3, 3)), np.zeros(3)
    for bad, message in (
        ((A, np.zeros((3, 2)), h), r"W must have shape \(3, 3\)"),
        ((np.zeros(2), W, h), r"A must have shape \(3,\)"),
        ((A, W, h, np.zeros((2, 1))), r"C must have shape \(3, 1\)"),
        ((A, W, h, np.zeros(3)), "C must have shape"),
        ((A, W, np.zeros((3, 1))), "h must have shape"),
        ((A, W * np.nan, h), "not finite: W"),
    ):
        with pytest.raises(ValueError, match=message):
            rg.Map(*bad, nonlinear_size=1)
    for P in (-1, 4, 1.5):
        with pytest.raises(ValueError, match="nonlinear_size must be an integer from 0 to M = 3"):
            rg.Map(A, W, h, nonlinear_size=P)
    for reader in (rg.fixed_points, lambda net: rg.visits(net, np.zeros((1, 1, 3))), lambda net: rg.spectrum(net, [])):
        for net in (torch.nn.Linear(2, 2), None, {"W": W}):
            with pytest.raises(TypeError, match="expected an ALRNN"):
                reader(net)
    with pytest.raises(ValueError, match=r"s must be a finite constant input of shape \(0,\)"):
        rg.fixed_points(rg.Map(A, W, h, nonlinear_size=0), [1.0])


# Jacobians and modes


@pytest.mark.parametrize("P", [0, 2, 5])
def test_jacobians_against_autograd(P):
    net = random_net(5, P, 5)
    z = torch.randn(20, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    bits = (z[:, 5 - P :] > 0).long()
    J = rg.jacobians(net, bits)
    s = torch.zeros(1, 1, 2, dtype=torch.float64)
    for i in range(20):
        exact = torch.autograd.functional.jacobian(lambda x: net(s, x[None])[1][0, 0], z[i])
        assert np.allclose(J[i], exact, atol=1e-14) and np.allclose(J[i], net.jacobian(bits[i]).detach(), atol=1e-14)
    for bad in (np.zeros(P + 1), np.full((3, P + 2), 0)):
        with pytest.raises(ValueError, match="bits must have shape"):
            rg.jacobians(net, bad)
    with pytest.raises(ValueError, match="0 or 1"):
        rg.jacobians(random_net(5, 1, 0), [2])
    with torch.no_grad():
        net.W[0, 0] = torch.nan
    with pytest.raises(ValueError, match="finite"):
        rg.jacobians(net, np.zeros(P))


@given(st.integers(1, 7), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_spectrum_of_random_nets(M, seed):
    net = random_net(M, M // 2, seed)
    bits = np.random.default_rng(seed).integers(0, 2, M // 2)
    J, modes = rg.jacobians(net, bits), rg.spectrum(net, bits)
    assert np.allclose(modes.right @ np.diag(modes.eigenvalues) @ modes.left, J, atol=1e-8)
    assert np.allclose(modes.left @ modes.right, np.eye(M), atol=1e-8)
    assert np.linalg.norm(modes.right, axis=0) == pytest.approx(np.ones(M))
    assert (np.diff(np.abs(modes.eigenvalues)) <= 1e-12).all() and (modes.condition >= 1 - 1e-9).all()
    assert (modes.bits == bits).all()


def test_time_constants_and_periods():
    values = [np.exp(-1 / 7), -np.exp(-1 / 7), 1.0, 1 + 1e-15, -1.0, 0.0, np.exp(0.5), 0.5j]
    assert rg.time_constants(values) == pytest.approx([7, 7, np.inf, np.inf, np.inf, 0, -2, 1 / np.log(2)])
    angle, radius = 2 * np.pi / 9, 0.9
    turn = radius * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    W = np.zeros((4, 4))
    W[:2, :2], W[2, 2], W[3, 3] = turn, 0.99, -0.5
    modes = rg.spectrum(build(W, 0), [])
    assert modes.eigenvalues[[0, 3]] == pytest.approx([0.99, -0.5])
    assert modes.eigenvalues[1] == pytest.approx(radius * np.exp(1j * angle)) == np.conj(modes.eigenvalues[2])
    assert modes.periods == pytest.approx([np.inf, 9, 9, 2])
    assert list(modes.slow(50)) == [0] and list(modes.slow(9)) == [0, 1, 2] and list(modes.slow(1e9)) == []
    assert list(rg.spectrum(build([[1.0]], 0), []).slow(1e9)) == [0]
    assert modes.condition == pytest.approx(np.ones(4))


def test_storing_and_selecting_directions_of_a_non_normal_map():
    J = np.array([[1.0, 3.0, 0.0], [0.0, 0.5, 1.0], [0.0, 0.0, 0.2]])
    modes = rg.spectrum(build(J, 0), [])
    kick = np.array([0.3, -1.0, 2.0])
    kept = np.linalg.matrix_power(J, 200) @ kick
    assert kept == pytest.approx(modes.right[:, 0] * (modes.left[0] @ kick))
    assert abs(modes.right[0, 0]) == pytest.approx(1) and modes.condition[0] > 5


def test_repeated_and_defective_eigenvalues():
    S = np.random.default_rng(0).normal(size=(4, 4))
    J = S @ np.diag([1, 1, 0.5, 0.5]) @ np.linalg.inv(S)
    modes = rg.spectrum(build(J, 0), [])
    assert modes.eigenvalues == pytest.approx([1, 1, 0.5, 0.5])
    assert np.allclose(modes.left @ modes.right, np.eye(4), atol=1e-8) and np.allclose(
        modes.left @ J @ modes.right, np.diag([1, 1, 0.5, 0.5]), atol=1e-8
    )
    jordan = S @ np.array([[1, 0, 0, 0], [0, 0.5, 1, 0], [0, 0, 0.5, 0], [0, 0, 0, 0]]) @ np.linalg.inv(S)
    for matrix in (jordan, jordan.T):
        modes = rg.spectrum(build(matrix, 0), [])
        assert list(np.isinf(modes.condition)) == [False, True, True, False]
        assert np.allclose(modes.left @ matrix, modes.eigenvalues[:, None] * modes.left, atol=1e-6)
        assert np.allclose(modes.left[[0, 3]] @ modes.right[:, [0, 3]], np.eye(2), atol=1e-7)
        assert np.linalg.norm(modes.left[1:3], axis=1) == pytest.approx([1, 1])
        assert np.abs(modes.left[1:3] @ modes.right[:, 1:3]).max() < 1e-6  # at a right angle: no length makes it 1
    for seed in range(30):  # a repeated eigenvalue 1 with all its vectors beside a defective one
        S = np.random.default_rng(seed).normal(size=(6, 6))
        block = np.diag([1.0, 1, 1, 0.5, 0.5, 0])
        block[3, 4] = 1
        modes = rg.spectrum(build(S @ block @ np.linalg.inv(S), 0), [])
        assert list(np.isinf(modes.condition)) == [False] * 3 + [True] * 2 + [False]
        kept = [0, 1, 2, 5]
        assert np.allclose((modes.left @ modes.right)[np.ix_(kept, kept)], np.eye(4), atol=1e-6)
    turn = np.zeros((5, 5))
    turn[:2, :2], turn[2:, 2:] = [[0.6, -0.7], [0.7, 0.6]], 0.5 * np.eye(3) + np.eye(3, k=1)
    modes = rg.spectrum(build(turn, 0), [])  # a pair beside a defective eigenvalue
    assert modes.left[:2] @ modes.right[:, :2] == pytest.approx(np.eye(2)) and np.isinf(modes.condition[2:]).all()
    assert modes.left[:2] @ turn == pytest.approx(modes.eigenvalues[:2, None] * modes.left[:2])
    nilpotent = rg.spectrum(build(np.eye(3, k=1), 0), [])
    assert np.isinf(nilpotent.condition).all() and (nilpotent.time_constants == 0).all()
    assert np.abs(nilpotent.left) == pytest.approx(np.tile([0, 0, 1.0], (3, 1)))  # all of it reads the line's end
    identity = rg.spectrum(build(np.eye(3), 0), [])
    assert (identity.left == identity.right).all() and np.isinf(identity.time_constants).all()


@pytest.mark.parametrize("size", [2, 3, 6])
@pytest.mark.parametrize("turned", [False, True])
def test_near_a_jordan_block_all_numbers_stand(size, turned):
    """The chain x_1 <- x_2 <- ... with a feedback d from first to last: eigenvalues 0.5 + d^(1/size) exp(i ..)."""
    z = np.random.default_rng(0).normal(size=(50, size + 1))
    S = np.linalg.qr(z[: size + 1])[0] if turned else np.eye(size + 1)
    finite = []
    for d in [0.0, *10.0 ** np.arange(-16, -3.0)]:
        J = np.zeros((size + 1, size + 1))
        J[:size, :size], J[size, size] = 0.5 * np.eye(size) + np.eye(size, k=1), 0.9
        J[size - 1, 0] += d
        modes = rg.spectrum(build(S @ J @ S.T, 0), [])
        numbers = [modes.right, modes.left, modes.eigenvalues, modes.time_constants]
        assert all(np.isfinite(x).all() for x in numbers) and not np.isnan(modes.condition).any()
        assert modes.condition[0] == pytest.approx(1) and modes.left[0] @ modes.right[:, 0] == pytest.approx(1)
        error = np.abs(modes.left @ S @ J @ S.T - modes.eigenvalues[:, None] * modes.left).max(1)
        assert (error <= 1e-7 * np.linalg.norm(modes.left, axis=1)).all()  # the rows are left eigenvectors, near or not
        for mode in range(size + 1):
            near = rg.alignment(modes, mode, z)
            assert all(np.isfinite(x).all() for x in (near.right, near.left, near.explained))
        finite.append(np.isfinite(modes.condition).all())
        if finite[-1]:  # the closed form: 1 / (size d^((size - 1) / size)), but for what is small beside 1
            assert modes.condition[1:] == pytest.approx(1 / (size * d ** (1 - 1 / size)), rel=0.2)
            assert np.allclose(np.diag(modes.left @ modes.right), 1)
    assert not finite[0] and finite[-1] and (np.diff(finite) >= 0).all()


def test_spectrum_wants_one_region():
    with pytest.raises(ValueError, match="one region"):
        rg.spectrum(random_net(4, 2, 0), [[0, 1]])


def test_principal_components_against_the_covariance():
    z = np.random.default_rng(0).normal(size=(5, 40, 4)) * [5, 1, 0.1, 2] + 7
    values, vectors = np.linalg.eigh(np.cov(z.reshape(-1, 4).T))
    found = rg.principal_components(torch.as_tensor(z), 3)
    assert found.explained == pytest.approx(values[::-1][:3] / values.sum()) and found.mean == pytest.approx(
        z.mean((0, 1))
    )
    assert np.abs((found.axes * vectors.T[::-1][:3]).sum(1)) == pytest.approx(np.ones(3))
    few = rg.principal_components(z[0, :3])
    assert few.axes.shape == (4, 4) and few.explained[2:] == pytest.approx([0, 0])
    for bad, k, message in (
        (z[:0], 1, "must hold states"),
        (z, 5, "k must be"),
        (z * np.nan, 1, "NaN"),
        (z * 0 + 3.3, 1, "variance"),
    ):
        with pytest.raises(ValueError, match=message):
            rg.principal_components(bad, k)


def test_alignment_of_a_slow_mode():
    J = np.array([[0.99, 0.4], [0.0, 0.2]])  # right slow vector (1, 0), left one at an angle
    net = build(J, 0)
    modes = rg.spectrum(net, [])
    left = np.array([0.79, 0.4])
    z = np.outer(np.random.default_rng(0).normal(size=500), [np.cos(0.3), np.sin(0.3)])
    found = rg.alignment(modes, 0, z)
    assert found.right == pytest.approx([np.cos(0.3)]) and found.explained == pytest.approx(np.cos(0.3) ** 2)
    assert found.left == pytest.approx([abs(left @ [np.cos(0.3), np.sin(0.3)]) / np.linalg.norm(left)])
    assert found.components == pytest.approx([1])
    assert rg.alignment(modes, 0, z, components=2).right == pytest.approx([1])
    with pytest.raises(ValueError, match="components"):
        rg.alignment(modes, 0, z, components=3)
    defective = rg.alignment(rg.spectrum(build([[0.5, 1], [0, 0.5]], 0), []), 0, z)
    assert defective.left == pytest.approx([np.sin(0.3)]) and defective.right == pytest.approx([np.cos(0.3)])


def test_alignment_of_a_complex_pair_is_that_of_its_plane():
    rng = np.random.default_rng(1)
    S = rng.normal(size=(4, 4))
    block = np.zeros((4, 4))
    block[:2, :2], block[2, 2], block[3, 3] = [[0.6, -0.7], [0.7, 0.6]], 0.3, 0.1
    modes = rg.spectrum(build(S @ block @ np.linalg.inv(S), 0), [])
    plane = np.linalg.qr(S[:, :2])[0]
    z = (rng.normal(size=(400, 2)) * [3, 1]) @ plane.T
    for mode in (0, 1):
        inside = rg.alignment(modes, mode, z)
        assert inside.right == pytest.approx([1, 1]) and inside.explained == pytest.approx(1)
        assert rg.alignment(modes, mode, z, components=1).right == pytest.approx([1])
        assert inside.components.shape == (2,) and inside.components.sum() == pytest.approx(1)
    axis = np.eye(4)[2]
    outside = rg.alignment(modes, 0, np.outer(rng.normal(size=50), axis), components=1)
    assert outside.right == pytest.approx([np.linalg.norm(plane.T @ axis)])
    selected = np.linalg.qr(np.linalg.inv(S)[:2].T)[0]
    assert outside.left == pytest.approx([np.linalg.norm(selected.T @ axis)])


# lesions


@pytest.mark.parametrize("M, P", [(5, 1), (5, 3), (4, 4)])
def test_linearise_is_the_net_with_one_lower_bound_removed(M, P):
    net = random_net(M, P, 7)
    s = run(net)[0]
    for unit in range(P):
        lower = net.lower.clone()
        lower[M - P + unit] = -torch.inf
        with torch.no_grad():
            weights = [x[None] for x in (net.A, net.W, net.C, net.h, lower)]
            expected = reference(s, torch.zeros(1, 6, M, dtype=torch.float64), *weights)[0]
            lesioned = rg.linearise(net, unit)
            y, z = lesioned(s)
        order = [*range(M - P), M - P + unit, *(i for i in range(M - P, M) if i != M - P + unit)]
        assert torch.allclose(z, expected[..., order], atol=1e-10)
        assert torch.allclose(y, expected @ net.D.detach().T + net.b.detach(), atol=1e-10)
        assert lesioned.nonlinear_size == P - 1 and lesioned.pwl.sum() == P - 1 and lesioned.A[M - P] == 0
        assert lesioned.jacobian([1] * (P - 1)).shape == (M, M) and len(rg.fixed_points(lesioned)) == 2 ** (P - 1)


def test_linearised_throughout_is_affine():
    net = random_net(4, 4, 8)
    linear = net
    for _ in range(4):
        linear = rg.linearise(linear, linear.nonlinear_size - 1)
    s = run(net)[0]
    with torch.no_grad():
        y = [linear(x)[0] for x in (s, -s, 0 * s)]
        z = [net(x)[0] for x in (s, -s, 0 * s)]
    assert torch.allclose(y[0] + y[1], 2 * y[2], atol=1e-8) and not torch.allclose(z[0] + z[1], 2 * z[2], atol=1e-2)


@pytest.mark.parametrize("M, P", [(5, 1), (5, 3), (4, 4)])
def test_silence_and_freeze_against_a_loop(M, P):
    net = random_net(M, P, 9)
    s = run(net)[0]
    A, W, C, h = (x.detach() for x in (net.A, net.W, net.C, net.h))
    for unit, value in itertools.product(range(P), (0.0, 1.7)):
        i, z, states = M - P + unit, torch.zeros(6, M, dtype=torch.float64), []
        for t in range(s.shape[1]):
            output = torch.maximum(z, net.lower)
            output[:, i] = value
            z = A * z + output @ W.T + s[:, t] @ C.T + h
            states.append(z)
        lesioned = rg.freeze(net, unit, value)
        with torch.no_grad():
            assert torch.allclose(lesioned(s)[1], torch.stack(states, 1), atol=1e-10)
            if value == 0:
                assert torch.equal(rg.silence(net, unit)(s)[1], lesioned(s)[1])
        assert lesioned.nonlinear_size == P


def test_lesioned_copies_keep_what_the_net_was():
    net = ALRNN(2, 5, 3, 1, seed=4, init=Init(W=0.3)).eval()
    net.C.requires_grad_(False)
    for lesioned in (rg.linearise(net, 1), rg.silence(net, 1), rg.freeze(net, 1, 0.5)):
        assert not lesioned.training and lesioned.W.dtype == torch.float32 and lesioned.seed == 4
        assert lesioned.W.requires_grad and not lesioned.C.requires_grad
        lesioned(torch.ones(1, 3, 2))[0].sum().backward()
        assert lesioned.W.grad is not None and net.W.grad is None


@pytest.mark.parametrize("M, P", [(5, 2), (4, 4)])
def test_straighten_against_least_squares(M, P):
    net = random_net(M, P, 3)
    s, z = run(net)[:2]
    z = torch.as_tensor(z)
    for unit in range(P):
        i = M - P + unit
        v = z[..., i].flatten().numpy()
        (slope, offset), *_ = np.linalg.lstsq(np.c_[v, np.ones_like(v)], np.maximum(v, 0), rcond=None)
        A, W, C, h = (x.detach() for x in (net.A, net.W, net.C, net.h))
        x, states = torch.zeros(len(s), M, dtype=torch.float64), []
        for t in range(s.shape[1]):
            output = torch.maximum(x, net.lower)
            output[:, i] = slope * x[:, i] + offset
            x = A * x + output @ W.T + s[:, t] @ C.T + h
            states.append(x)
        straight = rg.straighten(net, unit, z)
        order = [*range(M - P), i, *(j for j in range(M - P, M) if j != i)]
        with torch.no_grad():
            assert torch.allclose(straight(s)[1], torch.stack(states, 1)[..., order], atol=1e-8)
        assert straight.nonlinear_size == P - 1


def test_a_unit_that_is_always_on_is_straight_already():
    net = random_net(4, 2, 5)
    z = torch.ones(3, 4).cumsum(0)
    s = run(net)[0]
    with torch.no_grad():
        assert torch.allclose(rg.straighten(net, 0, z)(s)[0], rg.linearise(net, 0)(s)[0])
        assert torch.allclose(rg.straighten(net, 0, -z)(s)[0], rg.linearise(rg.silence(net, 0), 0)(s)[0])


@pytest.mark.parametrize("unit", range(5))
def test_nothing_hears_of_a_lost_unit(unit):
    net = random_net(5, 2, 7)
    lost, s = rg.lose(net, unit), run(net)[0]
    other = lost.copy()
    with torch.no_grad():
        other.W[unit], other.h[unit], other.C[unit] = 3.0, -1.0, 2.0
        assert torch.equal(lost(s)[0], other(s)[0]) and not torch.equal(lost(s)[0], net(s)[0])
    for bad in (-1, 5, 0.5):
        with pytest.raises(ValueError, match="unit"):
            rg.lose(net, bad)


def test_lesion_errors():
    for z in (np.zeros((3, 5)), np.zeros((0, 4)), np.full((2, 4), np.nan)):
        with pytest.raises(ValueError, match="z "):
            rg.straighten(random_net(4, 2, 0), 0, z)
    for lesion in (rg.linearise, rg.silence, lambda net, unit: rg.freeze(net, unit, 1.0)):
        for P, unit in ((0, 0), (2, 2), (2, -1), (2, 0.5)):
            with pytest.raises(ValueError, match="PWL units"):
                lesion(random_net(4, P, 0), unit)
    with pytest.raises(ValueError, match="finite"):
        rg.freeze(random_net(4, 2, 0), 0, float("nan"))


def test_only_a_plain_net_is_lesioned():
    class Another(ALRNN):
        @classmethod
        def run(cls, w, batch, last=None, state=None):
            return super().run(w, batch, last, state)

    class Named(ALRNN):
        """Of another name alone."""

    tied = random_net(4, 2, 0)
    torch.nn.utils.parametrize.register_parametrization(tied, "W", torch.nn.Identity())
    for net in (torch.nn.RNN(2, 4), rg.Map.of(random_net(4, 2, 0)), Another(1, 4, 2, 1), tied):
        for lesion in (rg.linearise, rg.silence, rg.lose, lambda net, unit: rg.freeze(net, unit, 1.0)):
            with pytest.raises(TypeError, match="only a plain ALRNN can be lesioned"):
                lesion(net, 0)
    assert type(rg.linearise(Named(1, 4, 2, 1), 0)) is Named
    given = ALRNN.from_weights(np.eye(4), np.zeros(4), nonlinear=[True, False, True, False])
    lesioned = rg.linearise(given, 1)  # unit 2 of the weights given
    assert lesioned.order == [1, 3, 2, 0] and given.order == [1, 3, 0, 2]


def test_lesion_scores():
    net = build(np.zeros((3, 3)), 2, D=[[1.0, 0, 0]])
    with torch.no_grad():
        net.W[0, 2] = 3.0  # unit 1 feeds the output, unit 0 feeds nothing
        net.C.fill_(1.0)

    def score(net):
        return net(torch.ones(1, 4, 1, dtype=torch.float64))[0][0, -1, 0]

    found = rg.lesion_scores(net, score)
    assert found.intact == 4 and (found.lesioned == [4, 1]).all() and (found.drop == [0, 3]).all()
    assert (rg.lesion_scores(net, score, rg.linearise).drop == 0).all()
    assert (rg.lesion_scores(net, score, lambda net, p: rg.freeze(net, p, [0, 2][p])).lesioned == [4, 7]).all()
    assert rg.lesion_scores(build(np.eye(2), 0, C=[[1.0], [1]]), score).drop.shape == (0,)


# promises about every function


def test_analysis_leaves_the_net_and_the_random_state_alone():
    net = ALRNN(2, 5, 3, 2, seed=1, init=Init(W=0.4)).train()
    s = torch.randn(4, 10, 2, generator=torch.Generator().manual_seed(0))
    y, z = net(s)
    y.sum().backward()
    inputs = z.detach().clone()
    before = {name: x.clone() for name, x in net.state_dict().items()}
    grads = {name: p.grad.clone() for name, p in net.named_parameters()}
    random_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()

    seen = rg.visits(net, z)
    rg.occupancy(seen), rg.transition_matrix(seen), rg.dwell_times(seen), rg.switches(seen)
    rg.contingency(seen, torch.zeros(4, 1))
    rg.alignment(rg.spectrum(net, seen.bits[0]), 0, z)
    rg.fixed_points(net, s=torch.ones(2)), rg.cycles(net, 2)
    rg.linearise(net, 0), rg.freeze(net, 1, 2.0)
    rg.lesion_scores(net, lambda n: n(s)[0].mean())

    assert all(torch.equal(x, before[name]) for name, x in net.state_dict().items())
    assert all(torch.equal(p.grad, grads[name]) and p.requires_grad for name, p in net.named_parameters())
    assert net.training and net.nonlinear_size == 3 and torch.equal(z, inputs) and z.requires_grad
    assert torch.equal(torch.get_rng_state(), random_state) and (np.random.get_state()[1] == numpy_state).all()


def test_float32_nets_are_analysed_in_float64():
    net = ALRNN(2, 6, 3, 1, seed=2, init=Init(W=0.3))
    double = net.copy().double()
    for a, b in zip(rg.fixed_points(net, [1.0, 0.5]), rg.fixed_points(double, [1.0, 0.5]), strict=True):
        assert a.z.dtype == np.float64 and (a.z == b.z).all() and (a.eigenvalues == b.eigenvalues).all()
    assert (rg.spectrum(net, [1, 0, 1]).left == rg.spectrum(double, [1, 0, 1]).left).all()


@pytest.mark.parametrize("name", ["A", "W", "h", "C"])
def test_a_net_with_nan_has_no_fixed_points(name):
    net = ALRNN(1, 3, 1, 1).double()
    with torch.no_grad():
        getattr(net, name).view(-1)[0] = float("nan")
    with pytest.raises(ValueError, match="finite|NaN"):
        rg.fixed_points(net, s=np.ones(1))
