"""SCAN: the published commands, the splits, batches and scores; theory by brute force and by nets built by hand."""

import hashlib
import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import almost_linear, leaves, linear

from alrnn import ALRNN, Init, fit, theory
from alrnn.nets import EncoderDecoder
from alrnn.tasks import SCAN
from alrnn.tasks.scan import scan_commands, scan_phrases
from alrnn.train import scores

PUBLISHED = {  # SHA-256 of the sorted lines "IN: ... OUT: ...": the files of Lake & Baroni (2018)
    "all": "6be4b39bc8bf3a20be810b6991250d0493e608560609db6765dd679e1ed1c98e",
    "length train": "7ffb97f45029871c94bede7e723f7a4aa179eb99fe2b977a18283310422c719d",
    "length test": "3297fd0b676c391f7bc3a7385aa66a7fdf64f6f8e81ad584810c1d4ebd0eaa2c",
    "add-jump train": "0683daacfdce23cf8ed6f5077feda21785e93ac82e0d11363a9280b7b0c6561e",
    "add-jump test": "522454c6280eab957dfc4ea9579ef1d780a716ac34df09619970e1d98822d7e2",
}
MINI = SCAN("all", mini=True)


def sha(pairs):
    def published(action):
        return f"I_TURN_{action}" if action in ("LEFT", "RIGHT") else f"I_{action}"

    lines = sorted(f"IN: {' '.join(words)} OUT: {' '.join(map(published, said))}".encode() for words, said in pairs)
    return hashlib.sha256(b"\n".join(lines) + b"\n").hexdigest()


def test_the_commands_are_those_published():
    commands = scan_commands()
    assert len(commands) == 20_910 and sha(commands.items()) == PUBLISHED["all"]
    assert max(map(len, commands)) == 9 and max(map(len, commands.values())) == 48


@pytest.mark.parametrize(
    ("split", "train", "test"), [("length", 16_990, 3_920), ("add-jump", 14_670, 7_706), ("turn-left", 19_702, 1_208)]
)
def test_the_splits_are_those_published(split, train, test):
    found = SCAN(split).commands
    both = [*found["train"], *found["validation"]]
    assert (len(both), len(found["test"])) == (train, test)
    if split in ("length", "add-jump"):
        assert sha(both) == PUBLISHED[f"{split} train"] and sha(found["test"]) == PUBLISHED[f"{split} test"]


@pytest.mark.parametrize("task", [SCAN(s) for s in ("simple", "length", "add-jump", "turn-left")] + [SCAN(mini=True)])
def test_the_three_parts_share_no_command_and_leave_none_out(task):
    parts = [{words for words, _ in pairs} for pairs in task.commands.values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(scan_commands(task.mini))
    assert len(parts[1]) > 0.04 * len(parts[0])
    if task.split == "add-jump":
        assert ("jump",) in parts[0] and all("jump" in words for words in parts[2])
        assert sum("jump" in words for words, _ in task.commands["train"]) == 1_467
    if task.split == "length":
        assert task.sample(9, torch.Generator().manual_seed(0)).last == 23
        assert (task.held_out("test", 50).info["actions"] > 22).all()


def meant(words):
    """What a command asks for, read from right to left by another grammar: rewriting rules on lists."""
    for joined, order in (("and", (0, 1)), ("after", (1, 0))):
        if joined in words:
            at = words.index(joined)
            parts = (meant(words[:at]), meant(words[at + 1 :]))
            return parts[order[0]] + parts[order[1]]
    *rest, last = words
    if last in ("twice", "thrice"):
        return meant(rest) * {"twice": 2, "thrice": 3}[last]
    verb, *how = words
    do = [] if verb == "turn" else [verb.upper()]
    if not how:
        return do
    turn = [how[-1].upper()]
    return {"around": (turn + do) * 4, "opposite": turn + turn + do}.get(how[0], turn + do)


def test_every_command_means_what_another_reading_of_the_grammar_says():
    for mini in (False, True):
        assert all(meant(list(words)) == list(said) for words, said in scan_commands(mini).items())
    assert len(scan_phrases()) == 102 and len(scan_commands(True)) == 300


@pytest.mark.parametrize("task", [SCAN(), SCAN("length"), MINI], ids=["simple", "length", "mini"])
def test_a_batch_says_what_the_commands_say(task):
    for batch in (task.sample(20, torch.Generator().manual_seed(3)), task.held_out("test", 20)):
        for i in range(20):
            words = task.command(batch.s[i])
            expected = list(scan_commands(task.mini)[tuple(words.split())])
            many = len(expected)
            assert task.said(batch.target[i]) == expected and batch.info["actions"][i] == many
            assert (batch.target[i, many:] == task.stop).all()
            assert batch.given[i].tolist() == [task.start, *batch.target[i, :-1].tolist()]
            assert batch.weight[i].sum() == many + 1 == (batch.weight[i, : many + 1]).sum()
    again = [task.sample(5, torch.Generator().manual_seed(1)).s for _ in range(2)]
    assert torch.equal(*again)


def test_own_commands():
    task = SCAN()
    batch = task.batch(["jump around left twice", "walk after look thrice"])
    assert task.said(batch.target[0]) == ["LEFT", "JUMP"] * 8
    assert task.said(batch.target[1]) == ["LOOK"] * 3 + ["WALK"]
    with pytest.raises(ValueError, match="scan has no command 'walk walk'"):
        task.batch(["walk walk"])
    with pytest.raises(ValueError, match="no command 'walk left'"):
        MINI.batch(["walk left"])


@pytest.mark.parametrize(("split", "mini"), [("length", True), ("easy", False), (3, False)])
def test_no_such_split(split, mini):
    with pytest.raises(ValueError, match="split of .*SCAN must be one of all, simple"):
        SCAN(split, mini)
    with pytest.raises(ValueError, match="n must be an integer from 1 to 300"):
        MINI.held_out("test", 301)


def answers(batch, change):
    """Outputs that say what is asked for, and then what `change` makes of it."""
    symbols = batch.target.clone()
    change(symbols)
    return torch.nn.functional.one_hot(symbols, 5).double()[None]


@pytest.mark.parametrize(
    ("change", "exact", "token"),
    [
        (lambda y: None, 1, 1),
        (lambda y: y[0, 0].fill_(3 - int(y[0, 0])), 0, 0.5),
        (lambda y: y[0, -1].fill_(0), 0, 1),  # more output, where nothing counts any more, is wrong
        (lambda y: y[0, 1].fill_(2), 0, 0.5),  # no STOP
    ],
)
def test_an_answer_is_right_as_a_whole(change, exact, token):
    batch = MINI.batch(["run"])
    found = MINI.scores(answers(batch, change), batch)
    assert list(found) == ["exact", "token"]
    assert found["exact"].value == exact and found["token"].value == token
    assert MINI.scores(answers(batch, change) * torch.nan, batch)["exact"].value == 0


def test_scores_add_up_and_are_those_of_a_plain_decoder():
    nets = [
        EncoderDecoder(8, 12, P, 5, 0, 6, 4, seed, Init("rotation", pwl=1.0, C=0.3)) for P, seed in ((0, 1), (3, 2))
    ]
    fit(nets, MINI, steps=150, lr=2e-2, clip=1.0, progress=False)
    test = MINI.held_out("test", 60)
    whole, parts = scores(nets, MINI, test), scores(nets, MINI, test, chunk=7)
    for k, net in enumerate(nets):
        p, right = leaves(net.double()), []
        for s, target in zip(test.s, test.target, strict=True):
            z, said = almost_linear(p, 0, s[None], at="encoder.")[:, -1], [5]
            while len(said) <= 7 and said[-1] != 4:
                z = almost_linear(p, net.nonlinear_size, torch.tensor([[said[-1]]]), z, at="decoder.")[:, 0]
                said.append(linear(p, z, "decoder.").argmax().item())
            right.append(said[1:] == [*target[: len(MINI.said(target))].tolist(), 4])
        assert abs(np.mean(right) - whole["exact"].value[k].item()) < 0.02  # float64 here: a tie may fall otherwise
    assert torch.equal(whole["exact"].sum, parts["exact"].sum)


# Theory


def inputs(command):
    """Its one-hot words by position from the end."""
    return Counter(enumerate(reversed(command)))


@pytest.mark.parametrize("mini", [False, True])
def test_quadruples_contradict_each_other_and_are_disjoint(mini):
    """The inputs of two of the four add up to those of the other two; what they ask for does not."""
    commands, found = scan_commands(mini), theory.scan_quadruples(mini)
    limits = theory.scan_limits(mini)
    assert len(found) == limits.quadruples == (54 if mini else 2159)
    assert len(set(itertools.chain(*found))) == 4 * len(found)
    for one, two, three, four in found:
        assert len({len(one), len(two), len(three), len(four)}) == 1
        a, b, c, d = (commands[words][0] for words in (one, two, three, four))
        assert a == d != b == c
        assert inputs(one) + inputs(four) == inputs(two) + inputs(three)
    assert limits.commands == len(commands) and limits.wrong >= limits.quadruples


def test_the_count_of_wrong_commands_is_the_least_over_orders_by_brute_force():
    """Mini-SCAN, c(and) - c(after) given by random numbers: never fewer are contradicted."""
    rng, phrases = np.random.default_rng(0), scan_phrases(True)
    verbs = sorted({said[0] for said in phrases.values()})
    least = []
    for _ in range(200):
        d = {(n, a): rng.normal() for n in (1, 2) for a in verbs}
        least.append(
            sum(
                d[len(s2), x[0]] < d[len(s2), y[0]]
                for x in phrases.values()
                for s2, y in phrases.items()
                if x[0] != y[0]
            )
        )
    assert min(least) == max(least) == theory.scan_limits(True).wrong  # verbs are alike: every order loses half
    assert theory.scan_limits().wrong == 2199 and theory.scan_limits().exact < 1 - 2159 / 20_910


def test_affine_maps_end_below_the_limit():
    right = theory.scan_affine(MINI)
    share = right.double().mean(0)
    assert right.shape == (300, 7) and (share.diff() <= 0).all()
    assert 0.4 < share[-1] < 0.5 < share[0] < 0.7
    assert share[-1] < theory.scan_limits(True).exact
    first = theory.scan_affine(MINI, steps=1)
    assert abs(first.double().mean() - share[0]) < 0.02


def test_a_linear_encoder_keeps_every_word():
    task = SCAN()
    net, s = theory.exact_reader(), task.held_out("test", 300).s
    assert net.nonlinear_size == 0 and net.hidden_size == 117
    z = net(s)[1][:, -1].unflatten(1, (9, 13))
    assert set(z.unique().tolist()) <= {0.0, 1.0}
    kept = torch.where(z.any(2), z.argmax(2), -1).flip(1)
    assert torch.equal(kept, s)


def test_one_unit_is_exactly_enough_for_mini_scan():
    net, batch = theory.exact_mini_scan(), MINI.held_out("test").to(torch.float64)
    assert (net.nonlinear_size, net.nonlinear_encoder) == (1, 0)
    assert scores(net, MINI, batch)["exact"].value == 1
    p = leaves(net)
    z = almost_linear(p, 0, batch.s, at="encoder.")[:, -1]
    fed, said = torch.full((300, 1), 5), []
    for _ in range(7):
        z = almost_linear(p, 1, fed, z, at="decoder.")[:, 0]
        fed = linear(p, z, "decoder.").argmax(-1, keepdim=True)
        said.append(fed)
    for answer, target in zip(torch.cat(said, 1), batch.target, strict=True):
        assert MINI.said(answer) == MINI.said(target)


def test_the_one_unit_takes_the_three_decisions_that_are_said():
    """On before step 1: "and". Before step 2: both are repeated. Before step 3: what comes first, three times."""
    net, batch = theory.exact_mini_scan(), MINI.held_out("test").to(torch.float64)
    start = net.encoder(batch.s)[1][:, -1:]
    with torch.no_grad():
        z = torch.cat([start, net(batch.s, batch.given, free=True)[1]], 1)[..., -1] > 0
    for i, s in enumerate(batch.s):
        words = MINI.command(s).split()
        both = sum(w in ("twice", "thrice") for w in words) == 2
        said = MINI.said(batch.target[i])
        joined = {"and", "after"} & set(words)
        phrases = " ".join(words).split(joined.pop()) if joined else [" ".join(words)]
        leads = phrases[0] if "and" in words or len(phrases) == 1 else phrases[1]
        assert z[i, 0] == ("and" in words) and z[i, 1] == both
        assert z[i, 2] == ("thrice" in leads) and not z[i, 3:].any(), (words, said)


@settings(max_examples=20, deadline=None)
@given(
    P=st.integers(0, 3), M=st.integers(1, 6), kind=st.sampled_from(["slow", "rotation", "spread"]), k=st.integers(0, 9)
)
def test_every_start_takes_opposite_pairs_for_every_P(P, M, kind, k):
    P = min(P, M)
    net, plain = (ALRNN(2, M, P, 1, init=Init(kind, opposite=one)) for one in (k, None))
    assert net.W.shape == (M, M) and torch.isfinite(net.W).all()
    if P < 2 or k < 2:  # no pair
        assert torch.equal(net.W, plain.W) and torch.equal(net.C, plain.C)


def test_mini_scan_is_learned_with_one_unit_or_more_and_not_with_none():
    nets = [EncoderDecoder(8, 32, P, 5, 0, 6, 4, s, Init("rotation", pwl=1.0, C=0.3)) for P in (0, 4) for s in (0, 1)]
    fit(nets, MINI, steps=600, lr=2e-2, clip=1.0, progress=False)
    exact = scores(nets, MINI, MINI.held_out("test"))["exact"].value
    assert (exact[:2] < theory.scan_limits(True).exact).all() and (exact[2:] > exact[:2].max() + 0.1).all()
