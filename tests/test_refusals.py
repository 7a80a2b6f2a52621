"""Nothing wrong in silence: what cannot be carried is refused with one clear error, at every entrance alike, before
anything is trained or written; and a call that fails leaves all as it was."""

import copy
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import alrnn
from alrnn import ALRNN, DivergedError, Init, Net, Stack, Sweep, Trainer, evaluate, fit, sweep
from alrnn.nets import GRU, LSTM, RNN, EncoderDecoder, Output
from alrnn.sweep import describe
from alrnn.sweep import run as train_and_score
from alrnn.tasks import Adding, Batch, GeneratedSentiment, Head, Score, Task, VariableCopy
from alrnn.tasks.base import HELD_OUT
from alrnn.train import scores

TASK = Adding(10)
QUICK = {"steps": 3, "batch_size": 4, "progress": False}
BATCH = TASK.held_out("test", 6)


def net(P=2, seed=0, M=5, kind=ALRNN, task=TASK):
    return kind(task.input_size, M, P, task.output_size, seed)


@pytest.fixture
def adams(monkeypatch):
    """How many steps of Adam were taken."""
    taken, step = [], torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self, *args: (taken.append(1), step(self, *args)))
    return taken


def facts(nets):
    """All that a call must leave alone: weights, gradients, flags, modes, the global random state."""
    found = [torch.get_rng_state(), torch.tensor(np.random.get_state()[1].astype(np.int64))]
    for one in nets:
        for x in (*one.parameters(), *one.buffers()):
            found += [x.detach().clone(), torch.tensor(x.requires_grad), torch.tensor(x.grad is None)]
        found += [torch.tensor(m.training) for m in one.modules()]
    return found


def alike(before, after):
    return len(before) == len(after) and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


# Every way into training and scoring; `save` needs a place
ENTRANCES = {
    "fit": lambda nets, task, path: fit(nets, task, **QUICK),
    "Trainer": lambda nets, task, path: Trainer(nets, task, **QUICK_).run(progress=False),
    "evaluate": lambda nets, task, path: evaluate(nets, task, BATCH),
    "evaluate, own score": lambda nets, task, path: evaluate(nets, task, BATCH, score=lambda y, batch: y),
    "scores": lambda nets, task, path: scores(nets, task, BATCH),
    "sweep's run": lambda nets, task, path: train_and_score(nets, task, **QUICK),
    "save": lambda nets, task, path: Sweep(pd.DataFrame({"P": [0] * len(list(nets))}), nets).save(path),
}
QUICK_ = {name: value for name, value in QUICK.items() if name != "progress"}
TRAINS = ("fit", "Trainer", "sweep's run")


# Nets


class Forward(ALRNN):
    def forward(self, s, z0=None):
        y, z = super().forward(s, z0)
        return y.tanh(), z


class Mixin:
    def forward(self, s):
        return s


class Mixed(Mixin, ALRNN):
    pass


class Child(Forward):
    """Forward stands one class further up."""


class Weights(ALRNN):
    def weights(self):
        return super().weights() | {"W": self.W.abs()}


class OnNumbers(nn.Module):
    def forward(self, x):
        return x.abs()


def changed(change, **of):
    one = net(**of)
    change(one)
    return one


def spoil(**attributes):
    def change(one):
        for name, value in attributes.items():
            setattr(one, name, value)

    return lambda: changed(change)


def square():  # N = M, so that C and W can be one
    one = ALRNN(5, 5, 2, 1)
    one.C = one.W
    return one


def two(share):
    def make():
        a, b = net(seed=0), net(seed=1)
        share(a, b)
        return [a, b]

    return make


def view(a, b):
    b.W.data = a.W.data.T


def in_inference_mode():
    with torch.inference_mode():
        return net()


def of_decoder():
    one = EncoderDecoder(2, 5, 2, 1)
    one.decoder.register_forward_hook(lambda *_: None)
    return one


BAD_NETS = {
    "a subclass's forward": (lambda: net(kind=Forward), TypeError, "Forward has a forward of its own, which"),
    "one further up": (lambda: net(kind=Child), TypeError, "Child has a forward of its own"),
    "that of a mixin": (lambda: net(kind=Mixed), TypeError, "Mixed has a forward of its own"),
    "an instance's forward": (spoil(forward=lambda s: s), TypeError, "ALRNN has a forward of its own"),
    "an instance's run": (spoil(run=lambda *_: None), TypeError, "ALRNN has a run of its own"),
    "an instance's predict": (spoil(predict=lambda *_: None), TypeError, "ALRNN has a predict of its own"),
    "weights made anew": (lambda: net(kind=Weights), TypeError, "Weights has a weights of its own"),
    "a part's forward": (
        lambda: [one := EncoderDecoder(2, 5, 2, 1), setattr(one.encoder, "forward", print)][:1],
        TypeError,
        r"EncoderDecoder.encoder has a forward of its own",
    ),
    "orthogonal": (lambda: parametrizations.orthogonal(net(), "W"), TypeError, "has parametrised weights.*makes them"),
    "weight_norm": (lambda: parametrizations.weight_norm(net(), "W"), TypeError, "has parametrised weights"),
    "spectral_norm": (lambda: parametrizations.spectral_norm(net(), "W"), TypeError, "has parametrised weights"),
    "parametrised": (
        lambda: changed(lambda n: nn.utils.parametrize.register_parametrization(n, "D", OnNumbers())),
        TypeError,
        "has parametrised weights",
    ),
    "old weight_norm": (lambda: nn.utils.weight_norm(net(), "W"), TypeError, "ALRNN has hooks .*weight_norm are hooks"),
    "old spectral_norm": (lambda: nn.utils.spectral_norm(net(), "W"), TypeError, "ALRNN has hooks"),
    "pruned": (lambda: prune.l1_unstructured(net(), "W", 0.5), TypeError, "ALRNN has hooks .*prune.remove"),
    "forward hook": (lambda: changed(lambda n: n.register_forward_hook(print)), TypeError, "ALRNN has hooks"),
    "pre-hook": (lambda: changed(lambda n: n.register_forward_pre_hook(print)), TypeError, "ALRNN has hooks"),
    "backward hook": (lambda: changed(lambda n: n.register_full_backward_hook(print)), TypeError, "ALRNN has hooks"),
    "backward pre-hook": (
        lambda: changed(lambda n: n.register_full_backward_pre_hook(print)),
        TypeError,
        "ALRNN has hooks",
    ),
    "a part's hook": (of_decoder, TypeError, "EncoderDecoder.decoder has hooks"),
    "gradient hook": (
        lambda: changed(lambda n: n.W.register_hook(lambda g: g * 0)),
        TypeError,
        "W has a gradient hook.*requires_grad=False",
    ),
    "hook behind the gradient": (
        lambda: changed(lambda n: n.h.register_post_accumulate_grad_hook(print)),
        TypeError,
        "h has a gradient hook",
    ),
    "tied weights": (square, TypeError, "C and W are one tied tensor|W and C are one tied tensor"),
    "tied nets": (two(lambda a, b: setattr(b, "W", a.W)), ValueError, "must not share memory"),
    "a view of another's": (two(view), ValueError, "must not share memory"),
    "numbers that are one": (
        lambda: changed(lambda n: setattr(n.W, "data", torch.ones(1, 1).expand(5, 5))),
        TypeError,
        "W cannot be written to",
    ),
    "made in inference mode": (in_inference_mode, TypeError, "A cannot be written to: it was made in inference mode"),
    "one twice": (two(lambda a, b: None), ValueError, "may be in an ensemble once"),
    "two kinds": (lambda: [RNN(2, 5, 1), GRU(2, 5, 1)], ValueError, "must be of one kind, got RNN, GRU"),
    "a subclass beside": (lambda: [net(), net(kind=Other)], ValueError, "must be of one kind, got ALRNN, Other"),
    "two sizes": (lambda: [net(), net(M=6)], ValueError, "must share input, hidden and output size"),
    "two dtypes": (lambda: [net(), net().double()], ValueError, "must share .* dtype"),
    "another module": (lambda: nn.RNN(2, 5), TypeError, "expected a net .*got RNN"),
    "a Sequential": (lambda: nn.Sequential(nn.Linear(2, 1)), TypeError, "expected a net .*got Linear"),
    "a class": (lambda: ALRNN, TypeError, "expected a net or a list of nets, got type"),
    "nothing": (lambda: None, TypeError, "expected a net or a list of nets, got NoneType"),
    "text": (lambda: "net", TypeError, "expected a net .*got str"),
    "none": (list, ValueError, "at least one net"),
}


class Other(ALRNN):
    pass


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("bad", BAD_NETS)
def test_nets_that_one_pass_cannot_carry(bad, entrance, tmp_path, adams):
    make, error, words = BAD_NETS[bad]
    nets = make()
    nets = [nets[0]] * 2 if bad == "one twice" else nets
    if entrance == "save" and not isinstance(nets, list):
        nets = [nets]
        words = words.replace("expected a net or a list of nets,", "expected a net .*").replace("Linear", "Sequential")
    modules = [x for x in (nets if isinstance(nets, list) else [nets]) if isinstance(x, nn.Module)]
    before, path = facts(modules), tmp_path / "file"
    path.write_text("a good file")
    with pytest.raises(error, match=words):
        ENTRANCES[entrance](nets, TASK, path)
    assert not adams and alike(before, facts(modules)) and path.read_text() == "a good file"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


class Extra(ALRNN):
    """A further parameter that nothing uses."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.ones(()))

    def settings(self):
        names = ("input_size", "hidden_size", "nonlinear_size", "output_size", "seed", "init")
        return {name: getattr(self, name) for name in names}


class Gained(Extra):
    """One that `run` uses."""

    @classmethod
    def run(cls, w, batch, last=None, state=None):
        y, z, after = super().run(w, batch, last, state)
        return Output(y * w["gain"][:, None, None, None], z, after)


@pytest.mark.parametrize("entrance", TRAINS)
def test_a_parameter_that_would_not_be_trained(entrance, tmp_path, adams):
    one = net(kind=Extra)
    before = facts([one])
    with pytest.raises(ValueError, match="gain of Extra would not be trained: Extra.run, or the loss of adding"):
        ENTRANCES[entrance]([one], TASK, tmp_path / "file")
    assert not adams and alike(before, facts([one]))
    one.gain.requires_grad_(False)
    ENTRANCES[entrance]([one], TASK, tmp_path / "file")
    assert adams and one.gain == 1


def test_a_subclass_with_its_own_run_is_trained_scored_and_saved_as_it_runs(tmp_path):
    """Forward, fit and evaluate follow `run`; a kind that is none of the library's must be named to be loaded."""
    one = net(kind=Gained)
    with torch.no_grad():
        one.gain.fill_(3.0)
    plain = net()
    torch.testing.assert_close(one(BATCH.s)[0], 3 * plain(BATCH.s)[0])
    expected = TASK.score(one(BATCH.s)[0], BATCH)
    torch.testing.assert_close(evaluate(one, TASK, BATCH), expected[None].double())
    fit(one, TASK, **QUICK)
    assert one.gain != 3 and describe(one, TASK)["model"] == "Gained"
    Sweep(pd.DataFrame({"P": [2]}), [one]).save(tmp_path / "s")
    again = Sweep.load(tmp_path / "s", kinds=[Gained]).nets[0]
    assert type(again) is Gained and torch.equal(again(BATCH.s)[0], one(BATCH.s)[0])
    with pytest.raises(ValueError, match="Gained is no kind of net that is known here .*name its class in kinds"):
        Sweep.load(tmp_path / "s")


def test_a_kind_that_has_the_name_of_another_is_not_saved(tmp_path):
    impostor = type("ALRNN", (Gained,), {})
    with pytest.raises(ValueError, match="ALRNN with its settings .* makes another net: it cannot be saved"):
        Sweep(pd.DataFrame({"P": [2]}), [net(kind=impostor)]).save(tmp_path / "s")
    assert not list(tmp_path.iterdir())


def test_what_settings_do_not_make_again_is_not_saved(tmp_path):
    one, other = EncoderDecoder(2, 5, 2, 1), net()
    one.encoder = ALRNN(2, 5, 2, 3)  # a readout, of which the settings know nothing
    with pytest.raises(ValueError, match="makes another net"):
        Sweep(pd.DataFrame({"P": [2]}), [one]).save(tmp_path / "s")
    other.init = object()
    with pytest.raises(TypeError, match="only numbers, text, lists and dicts can be saved"):
        Sweep(pd.DataFrame({"P": [2]}), [other]).save(tmp_path / "s")
    with pytest.raises(ValueError, match="one row for each net, this one 2 for 1 nets"):
        Sweep(pd.DataFrame({"P": [2, 3]}), [net()]).save(tmp_path / "s")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("undo", ["prune", "orthogonal"])
def test_weights_made_plain_again_are_carried_whatever_their_order(undo, tmp_path):
    """The ways out that the errors name leave the parameters in another order: each keeps its own numbers."""
    plain, one = net(seed=1), net()
    if undo == "prune":
        prune.l1_unstructured(one, "W", 0.5)
        prune.remove(one, "W")
        expected = one.W.detach().clone()
    else:
        parametrizations.orthogonal(one, "W")
        nn.utils.parametrize.remove_parametrizations(one, "W")
        expected = one.W.detach().clone()
        one.__class__ = ALRNN  # torch leaves it so, too
    assert [name for name, _ in one.named_parameters()] != [name for name, _ in plain.named_parameters()]
    nets = [plain, one]
    before = [copy.deepcopy(x.state_dict()) for x in nets]
    y = [x(BATCH.s)[0] for x in nets]
    torch.testing.assert_close(Stack(nets)(BATCH.s)[0], torch.stack(y))
    for order in (nets, nets[::-1]):
        Sweep(pd.DataFrame({"P": [2, 2]}), order).save(tmp_path / "s")
        for a, b in zip(Sweep.load(tmp_path / "s").nets, order, strict=True):
            assert torch.equal(a.W, b.W) and torch.equal(a(BATCH.s)[0], b(BATCH.s)[0])
    assert torch.equal(one.W, expected) and torch.equal(nets[1].W, before[1]["W"])
    together, alone = [copy.deepcopy(x).double() for x in nets], [copy.deepcopy(x).double() for x in nets]
    fit(together, TASK, **QUICK)
    for a, b in zip(together, alone, strict=True):
        fit(b, TASK, **QUICK)
        assert all(torch.allclose(p, b.get_parameter(n), rtol=1e-9, atol=1e-12) for n, p in a.named_parameters())


def test_a_list_of_modules_is_a_list_of_nets():
    nets = nn.ModuleList([net(seed=0), net(seed=1)])
    plain = [net(seed=0), net(seed=1)]
    fit(nets, TASK, **QUICK)
    fit(plain, TASK, **QUICK)
    assert alike(facts(nets), facts(plain))


def test_frozen_weights_stay_and_a_gradient_that_is_no_number_stays_in_them():
    class Root(Task):  # the slope of sqrt at 0 is infinite: harmless where nothing moves
        name, input_size, output_size = "root", 2, 1

        def sample(self, n, generator):
            return TASK.sample(n, generator)

        def loss(self, output, batch):
            return super().loss(output, batch) + 0 * weights[0].clamp(min=0).sqrt()

    one = net().double()
    one.b.requires_grad_(False)
    weights = []

    class Spy(ALRNN):
        @classmethod
        def run(cls, w, batch, last=None, state=None):
            weights[:] = [w["b"][:, 0]]
            return super().run(w, batch, last, state)

    spied = net(kind=Spy).double()
    spied.b.requires_grad_(False)
    history = fit(spied, Root(), **QUICK)
    fit(one, TASK, **QUICK)
    assert not spied.b.any() and np.isfinite(history.grad_norm).all()
    assert torch.equal(spied.W, one.W) and not torch.equal(one.W, net().double().W)


def test_A_on_linear_units_counts_and_stays_what_it_is():
    """Weights of others have A everywhere: as they stand and folded into W they are one net, in every answer."""
    whole, folded = net(seed=3).double(), net(seed=3).double()
    with torch.no_grad():
        whole.A[:3] = torch.tensor([0.5, -0.3, 0.9])
        folded.W += torch.diag(whole.A * ~whole.pwl)
    kept = whole.A[:3].clone()
    batch = BATCH.to(torch.float64)
    for a, b in zip(whole(batch.s), folded(batch.s), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(evaluate(whole, TASK, batch), evaluate(folded, TASK, batch), rtol=1e-12, atol=0)
    histories = [fit(one, TASK, **QUICK, tau=0.1) for one in (whole, folded)]
    np.testing.assert_allclose(histories[0].loss, histories[1].loss, rtol=1e-9)
    np.testing.assert_allclose(histories[0].grad_norm, histories[1].grad_norm, rtol=1e-9)
    assert torch.equal(whole.A[:3], kept)
    torch.testing.assert_close(whole.W + torch.diag(whole.A * ~whole.pwl), folded.W, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("strict", [True, False])
def test_a_state_dict_of_another_P_is_refused_before_a_weight_is_copied(strict):
    one, other = net(P=2), net(P=4, seed=1)
    old = {name: x for name, x in other.state_dict().items() if name != "_extra_state"}
    old |= {"pwl": other.pwl, "lower": other.lower}  # as files of version 0.1.0 have it
    before = facts([one])
    for state in (other.state_dict(), old):
        given = dict(state)
        with pytest.raises(ValueError, match="of a net with P = 4, this one has P = 2"):
            one.load_state_dict(state, strict=strict)
        assert alike(before, facts([one])) and state.keys() == given.keys()
    same = net(P=4)
    same.load_state_dict(old)
    assert torch.equal(same(BATCH.s)[0], other(BATCH.s)[0])


def test_a_stack_does_not_write_to_nets_of_another_P_or_kind():
    stack = Stack([net(P=2), net(P=0, seed=1)])
    for wrong in ([net(P=0), net(P=2)], [net(P=2), net(P=1)], [net(P=2), net(P=0, kind=Other)], [net(P=2, M=6)] * 2):
        before = facts(wrong)
        with pytest.raises(ValueError, match="the nets to write to have another"):
            stack.write_to(wrong)
        assert alike(before, facts(wrong))


def test_averages_of_nets_work():
    """torch's own, buffers and all."""
    for use_buffers in (True, False):
        averaged = torch.optim.swa_utils.AveragedModel(net(seed=0), use_buffers=use_buffers)
        averaged.update_parameters(net(seed=0))
        averaged.update_parameters(net(seed=1))
        expected = (net(seed=0).W + net(seed=1).W) / 2
        torch.testing.assert_close(averaged.module.W, expected)
        assert torch.equal(averaged.module.pwl, net().pwl)


def test_seeds_of_any_kind_of_net_have_a_stream():
    class Foreign(Net):
        def __init__(self, seed):
            super().__init__()
            self.input_size, self.hidden_size, self.output_size, self.seed = 2, 1, 1, seed
            self.v = nn.Parameter(torch.ones(2))

        @classmethod
        def run(cls, w, batch, last=None, state=None):
            y = (batch.s @ w["v"].mT if batch.s.dim() == 3 else batch.s @ w["v"][..., None]).mT[..., None]
            return Output(y[..., -batch.last :, :])

    for seed in (-1, 1_000_000_000, None, "0", 0.5):
        with pytest.raises(ValueError, match="the seed of a net must be an integer from 0 to 999999999"):
            fit(Foreign(seed), TASK, **QUICK)


# Tasks


class Unsized(Task):
    pass


class OwnScore(Adding):
    def score(self, output, batch):
        return super().score(output, batch) + 1


class OwnSequence(Adding):
    def score_sequence(self, y, batch):
        return y


def with_(task=TASK, **attributes):
    task = copy.copy(task)
    for name, value in attributes.items():
        setattr(task, name, value)
    return lambda: task


HEADS = (Head("a", 1), Head("a", 1))
BAD_TASKS = {
    "a class": (lambda: Adding, TypeError, r"task must be made first: Adding\(...\), not the class Adding"),
    "a dataset": (lambda: torch.zeros(6, 10, 2), TypeError, "must be an alrnn.tasks.Task .*Arrays.* got Tensor"),
    "an array": (lambda: np.zeros((6, 10, 2)), TypeError, "must be an alrnn.tasks.Task .* got ndarray"),
    "two": (lambda: (BATCH.s, BATCH.target), TypeError, "must be an alrnn.tasks.Task .* got (Tensor|tuple)"),
    "text": (lambda: "adding", TypeError, "must be an alrnn.tasks.Task .* got str"),
    "nothing": (lambda: None, TypeError, "must be an alrnn.tasks.Task .* got NoneType"),
    "a batch": (lambda: BATCH, TypeError, "must be an alrnn.tasks.Task .* got Batch"),
    "metric": (with_(metric="f1"), ValueError, "metric of adding must be one of mse, accuracy, .* got 'f1'"),
    "objective": (with_(objective="hinge"), ValueError, "objective of adding must be one of .* got 'hinge'"),
    "both": (with_(objective="poisson"), ValueError, "metric and objective of adding do not go together: .*poisson"),
    "other": (with_(metric="accuracy", objective="mse"), ValueError, "metric and objective of adding do not go"),
    "heads": (with_(heads=(Head("a", 2),)), ValueError, "heads of adding must share its 1 outputs"),
    "names": (with_(heads=HEADS, output_size=2), ValueError, "heads of adding must have names that differ"),
    "heads of tuples": (with_(heads=(("a", 1),)), TypeError, "heads of adding must be alrnn.tasks.Head"),
    "metric of a head": (
        with_(heads=(Head("a", 1, "mse", metric="accuracy"),)),
        ValueError,
        "metric and objective of adding do not go together",
    ),
    "own score": (lambda: OwnScore(10), TypeError, "OwnScore has a score of its own, which is never called: write"),
    "own sequence score": (lambda: OwnSequence(10), TypeError, "OwnSequence has a score of its own"),
    "no sizes": (Unsized, ValueError, "input_size of Unsized must be an integer of at least 0, got None"),
    "other sizes": (lambda: VariableCopy(2, 1, 3), ValueError, r"has input and output size \(5, 4\), the nets"),
}


@pytest.mark.parametrize(
    ("bad", "entrance"),
    [
        (bad, entrance)
        for bad in BAD_TASKS
        for entrance in (*ENTRANCES, "sweep")
        if entrance != "save" and (bad, entrance) != ("other sizes", "sweep")  # no task there, or nets made to fit
    ],
)
def test_tasks_that_are_none(bad, entrance, adams):
    make, error, words = BAD_TASKS[bad]
    one, task = net(), make()
    before = facts([one])
    with pytest.raises(error, match=words):
        if entrance == "sweep":
            sweep(task, 5, [1], 1, **QUICK)
        else:
            ENTRANCES[entrance]([one], task, None)
    assert not adams and alike(before, facts([one]))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"outputs": 0}, "outputs of head a must be an integer of at least 1, got 0"),
        ({"outputs": 1.5}, "outputs of head a must be an integer"),
        ({"weight": math.nan}, "weight of head a must be a number above 0 and finite, got nan"),
        ({"weight": -1}, "weight of head a must be a number above 0"),
        ({"weight": "2"}, "weight of head a must be a number above 0"),
    ],
    ids=str,
)
def test_heads_that_are_none(given, words):
    with pytest.raises(ValueError, match=words):
        Head(**{"name": "a", "outputs": 1} | given)
    fit(net(), with_(heads=[Head("a", 1)])(), **QUICK)  # a list of them is as good as a tuple


@pytest.mark.parametrize("entrance", TRAINS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_not_called_divergence(entrance, value, adams):
    nets = [net(seed=k) for k in range(3)]
    nets[1].W.data[0, 0] = value
    with pytest.raises(ValueError, match="weights of net 1 contain NaN or infinite values"):
        ENTRANCES[entrance](nets, TASK, None)
    assert not adams


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_nets_of_half_precision_have_a_history(dtype):
    one = net().to(dtype)
    history = fit(one, TASK, **QUICK)
    assert np.isfinite(history.loss).all() and history.loss.shape == (3, 1) and one.W.dtype == dtype


@pytest.mark.parametrize("entrance", ["fit", "evaluate", "scores"])
def test_a_stack_is_held_to_the_same(entrance):
    """`evaluate` takes a stack, which must fit the task as nets do."""
    stack = Stack([net()])
    if entrance == "fit":
        with pytest.raises(TypeError, match="got Stack"):
            fit(stack, TASK, **QUICK)
        return
    call = {"evaluate": evaluate, "scores": scores}[entrance]
    with pytest.raises(ValueError, match=r"has input and output size \(5, 4\), the nets \(2, 1\)"):
        call(stack, VariableCopy(2, 1, 3), BATCH)
    with pytest.raises(TypeError, match="must be made first"):
        call(stack, Adding, BATCH)
    with pytest.raises(ValueError, match="s of a batch of adding contains NaN"):
        call(stack, TASK, replace(BATCH, s=BATCH.s * math.nan))


def test_arrays_after_nets_are_told_from_a_task():
    with pytest.raises(TypeError, match="must be an alrnn.tasks.Task .*Arrays, for own arrays.* got Tensor"):
        fit(net(), BATCH.s, BATCH.target)


def test_a_task_for_each_net():
    nets = [net(seed=k) for k in range(2)]
    for wrong in ([TASK], [TASK] * 3, [], [TASK, VariableCopy(2, 1, 3)]):
        with pytest.raises(ValueError, match="one task, or one of the same class for each of 2 nets"):
            fit(nets, wrong, **QUICK)
    with pytest.raises(ValueError, match=r"must have equal shapes, s has \[\(4, 10, 2\), \(4, 20, 2\)\]"):
        fit(nets, [TASK, Adding(20)], **QUICK)


class Growing(Adding):
    """T differs from seed to seed."""

    def sample(self, n, generator):
        return Adding(10 if generator.initial_seed() % 2 else 12).sample(n, generator)


class Facts(Adding):
    """info differs from seed to seed."""

    def sample(self, n, generator):
        batch = super().sample(n, generator)
        return batch if generator.initial_seed() % 2 else replace(batch, info={"other": batch.s[:, 0, 0]})


@pytest.mark.parametrize("entrance", TRAINS)
@pytest.mark.parametrize(
    ("task", "words"),
    [(Growing(10), "must have equal shapes, s has"), (Facts(10), "info must name the same facts in every batch")],
)
def test_batches_that_differ_between_seeds(entrance, task, words, adams):
    nets = [net(seed=k) for k in range(2)]
    before = facts(nets)
    with pytest.raises(ValueError, match=words):
        ENTRANCES[entrance](nets, task, None)
    assert not adams and alike(before, facts(nets))
    fit(nets[0], task, **QUICK)  # alone there is nothing to differ from


# Batches


class Given(Task):
    """Whatever it is made with, as a task: for training, or held out alone."""

    metric: str = "mse"

    def __init__(self, batch, like, held=False):
        self.batch, self.held, self.like = batch, held, like
        self.name, self.input_size, self.output_size, self.metric = (
            "given",
            *(getattr(like, name) for name in ("input_size", "output_size", "metric")),
        )

    def settings(self):
        return {}

    def sample(self, n, generator):
        return self.like.sample(n, generator) if self.held else self.batch

    def held_out(self, split, n=100):
        return self.batch if self.held else self.like.held_out(split, n)


COPY, WORDS = VariableCopy(2, 1, 3), GeneratedSentiment(3, (1, 2))
SAMPLES = {task: task.sample(4, torch.Generator().manual_seed(0)) for task in (TASK, COPY, WORDS)}


def wrong(task=TASK, **parts):
    """A batch of a task with some parts changed, each by a function."""
    batch = SAMPLES[task]
    return task, replace(batch, **{name: change(getattr(batch, name)) for name, change in parts.items()})


def put(where, value):
    def change(x):
        x = x.clone()
        x[where] = value
        return x

    return change


one_hot = wrong(WORDS, s=lambda s: torch.nn.functional.one_hot(s.clamp(min=0), WORDS.input_size))
BAD_BATCHES = {
    "a tuple": ((TASK, (BATCH.s, BATCH.target, BATCH.weight)), TypeError, r"must be a Batch\(s, .*got tuple"),
    "nothing": ((TASK, None), TypeError, "must be a Batch.*got NoneType"),
    "arrays": (wrong(s=lambda s: s.numpy()), TypeError, r"s of .* must be a tensor \(torch.as_tensor.* got ndarray"),
    "a list of targets": (wrong(target=lambda x: x.tolist()), TypeError, "target of .* must be a tensor .* got list"),
    "no weight": (wrong(weight=lambda x: None), TypeError, "weight of .* must be a tensor .*got NoneType"),
    "info of arrays": (wrong(info=lambda x: {"a": np.zeros(4)}), TypeError, "a of .* must be a tensor .*got ndarray"),
    "info of others": (wrong(info=lambda x: {"a": torch.zeros(3)}), ValueError, "a of .* an entry for each of 4 seq"),
    "info of none": (wrong(info=lambda x: {"a": torch.zeros(())}), ValueError, "a of .* an entry for each of 4 seq"),
    "NaN": (wrong(s=put((0, 0, 0), math.nan)), ValueError, "s of .* contains NaN or infinite values"),
    "infinity": (wrong(s=put((3, 9, 1), math.inf)), ValueError, "s of .* contains NaN or infinite values"),
    "NaN in targets": (wrong(target=put((0, 0), math.nan)), ValueError, "target of .* contains NaN"),
    "NaN in weights": (wrong(weight=put((0, 0), math.nan)), ValueError, "weight of .* must be finite floats of at"),
    "weights below 0": (wrong(weight=put((0, 0), -1.0)), ValueError, "weight of .* must be finite floats of at least"),
    "whole weights": (wrong(weight=lambda x: x.long()), ValueError, "weight of .* must be finite floats"),
    "weights 0": (wrong(weight=lambda x: 0 * x), ValueError, "all weights of .* are 0: nothing is asked"),
    "one weight": (wrong(weight=lambda x: x[0, 0]), ValueError, r"weight of .* must be \(B, L\) or .*, got \(\)"),
    "flat weights": (wrong(weight=lambda x: x[:, 0]), ValueError, r"weight of .* must be \(B, L\) or .* got \(4,\)"),
    "other weights": (wrong(weight=lambda x: x[:3]), ValueError, r"weight of .* must be \(B, L\) or .* got \(3, 1\)"),
    "flat targets": (
        wrong(target=lambda x: x[:, 0]),
        ValueError,
        r"target of .* must be floats \(B, L, O\) = \(4, 1, 1\), got torch.float32 \(4, 1\)",
    ),
    "whole targets": (wrong(target=lambda x: x.long()), ValueError, r"target of .* must be floats .*got torch.int64"),
    "no steps": (wrong(s=lambda s: s[:, :0]), ValueError, "must hold .* sequences with steps"),
    "too few steps": (wrong(COPY, s=lambda s: s[:, :2]), ValueError, "asks for L = 4 steps of T = 2"),
    "other inputs": (wrong(s=lambda s: s[..., :1]), ValueError, r"s of .* must be numbers, float \(B, T, 2\), or"),
    "flat inputs": (wrong(s=lambda s: s[..., 0]), ValueError, r"s of .* must be numbers, .* got .*float32 \(4, 10\)"),
    "whole inputs": (wrong(s=lambda s: s.long()), ValueError, r"s of .* or words, .* got torch.int64 \(4, 10, 2\)"),
    "one-hot words": (one_hot, ValueError, r"s of .* must be numbers, float .* or words, .* got torch.int64 \(4, "),
    "inputs of truths": (wrong(s=lambda s: s > 0.5), ValueError, r"s of .* got torch.bool"),
    "complex inputs": (wrong(s=lambda s: s + 1j), ValueError, r"s of .* got torch.complex64"),
    "at elsewhere": (wrong(at=lambda x: torch.full((4, 1), 10)), ValueError, r"at of .* from 0 to 9"),
    "at before": (wrong(at=lambda x: torch.full((4, 1), -1)), ValueError, r"at of .* from 0 to 9"),
    "at of others": (wrong(at=lambda x: torch.zeros(4, 2).long()), ValueError, r"at of .* \(B, L\) = \(4, 1\)"),
    "at of another kind": (wrong(at=lambda x: torch.zeros(4, 1).int()), ValueError, "at of .* must be int64 steps"),
    "offset": (wrong(offset=lambda x: torch.zeros(4, 2, 1)), ValueError, r"offset of .* must be \(B, L, O\)"),
    "NaN in the offset": (wrong(offset=lambda x: torch.full((4, 1, 1), math.nan)), ValueError, "offset of .* contains"),
    "given": (wrong(given=lambda x: torch.zeros(4, 1)), ValueError, "given of .* for other nets nothing"),
    "class too high": (wrong(COPY, target=put((0, 0), 4)), ValueError, "classes of .* must be from 0 to 3, got 0 to 4"),
    "class too low": (wrong(COPY, target=put((0, 0), -100)), ValueError, "classes of .* from 0 to 3, got -100 to 3"),
    "float classes": (wrong(COPY, target=lambda x: x.float()), ValueError, "target of .* must be class numbers, int64"),
    "short classes": (wrong(COPY, target=lambda x: x.int()), ValueError, "target of .* must be class numbers, int64"),
    "one-hot classes": (
        wrong(COPY, target=lambda x: torch.nn.functional.one_hot(x, 4)),
        ValueError,
        r"target of .* must be class numbers, int64 \(B, L\) = \(4, 4\), got torch.int64 \(4, 4, 4\)",
    ),
    "a class for all steps": (wrong(COPY, target=lambda x: x[:, :1]), ValueError, r"target of .* \(B, L\) = \(4, 4\)"),
    "word too high": (wrong(WORDS, s=put((0, -1), WORDS.input_size)), ValueError, "words of .* must be from 0 to"),
    "word too low": (wrong(WORDS, s=put((0, 0), -2)), ValueError, "words of .* must be from 0 to .* got -2 to"),
    "no word inside": (wrong(WORDS, s=put((0, -2), -1)), ValueError, r"no word \(-1\) may stand only before the first"),
}


@pytest.mark.parametrize("entrance", ["fit", "Trainer", "evaluate", "evaluate, own score", "scores", "held out"])
@pytest.mark.parametrize("bad", BAD_BATCHES)
def test_batches_that_are_not_what_the_task_says(bad, entrance, adams):
    (like, batch), error, words = BAD_BATCHES[bad]
    one, task = ALRNN(like.input_size, 5, 2, like.output_size), Given(batch, like, held=entrance == "held out")
    before = facts([one])
    with pytest.raises(error, match=words):
        {
            "fit": lambda: fit(one, task, **QUICK),
            "Trainer": lambda: Trainer(one, task, **QUICK_).run(progress=False),
            "evaluate": lambda: evaluate(one, like, batch),
            "evaluate, own score": lambda: evaluate(one, like, batch, score=lambda y, batch: y),
            "scores": lambda: scores(one, like, batch),
            "held out": lambda: sweep(task, 5, [1], 1, **QUICK),
        }[entrance]()
    assert not adams and alike(before, facts([one]))


def test_a_batch_for_each_net_is_looked_at_net_by_net():
    nets = [net(seed=k) for k in range(2)]
    batches = [TASK.sample(5, torch.Generator().manual_seed(k)) for k in range(3)]
    for part, value, words in (("s", math.nan, "s of a batch .* contains NaN"), ("weight", -1.0, "of at least 0")):
        bad = replace(batches[1], **{part: put(0, value)(getattr(batches[1], part))})
        joined = Batch.per_net([batches[0], bad], torch.tensor([0, 1]))
        with pytest.raises(ValueError, match=words):
            evaluate(nets, TASK, joined)
    with pytest.raises(ValueError, match=r"s of a batch of adding must be numbers.* got torch.float32 \(3, 5, 10, 2\)"):
        evaluate(nets, TASK, Batch.per_net(batches, torch.arange(3)))
    joined = Batch.per_net(batches, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"\(2, 5, 10, 2\)"):
        evaluate(nets, TASK, replace(joined, target=joined.target[0]))


def test_another_number_of_sequences_than_asked_for(adams):
    with pytest.raises(ValueError, match=r"must hold 5 sequences with steps, got s \(4, 10, 2\)"):
        fit(net(), Given(SAMPLES[TASK], TASK), **QUICK | {"batch_size": 5})
    assert not adams


@pytest.mark.parametrize("kind", [ALRNN, LSTM])
def test_short_words_are_words(kind):
    """int32, as tokenizers give them, is no other text than int64."""

    class Short(GeneratedSentiment):
        def sample(self, n, generator):
            batch = super().sample(n, generator)
            return replace(batch, s=batch.s.int())

    def make():
        N = WORDS.input_size
        return ALRNN(N, 5, 2, 2) if kind is ALRNN else kind(N, 5, 2, inputs="words")

    long, short = make(), make()
    fit(long, GeneratedSentiment(3, (1, 2)), **QUICK)
    fit(short, Short(3, (1, 2)), **QUICK)
    assert alike(facts([long]), facts([short]))
    task, batch = GeneratedSentiment(3, (1, 2)), WORDS.held_out("test", 9)
    assert torch.equal(evaluate(long, task, batch), evaluate(short, task, replace(batch, s=batch.s.int())))
    assert torch.equal(long(batch.s)[0], short(batch.s.int())[0])


def test_words_are_looked_at_in_every_batch():
    """A wrong one would be read as another word: not at the first step alone."""

    class Late(GeneratedSentiment):
        drawn = 0

        def sample(self, n, generator):
            batch = super().sample(n, generator)
            self.drawn += 1
            return batch if self.drawn < 3 else replace(batch, s=put((0, -1), self.input_size)(batch.s))

    one = ALRNN(WORDS.input_size, 5, 2, 2)
    before = facts([one])
    with pytest.raises(ValueError, match="words of a batch of Late must be from 0") as caught:
        fit(one, Late(3, (1, 2)), **QUICK | {"steps": 9})
    assert caught.value.trainer.step == 2 and alike(before, facts([one]))


def test_nets_of_torch_read_what_they_were_made_for():
    words, numbers = WORDS.held_out("test", 3), BATCH
    for wrong_one, task, batch in (
        (RNN(WORDS.input_size, 5, 2), WORDS, words),
        (LSTM(2, 5, 1, inputs="words"), TASK, numbers),
    ):
        for call in (lambda: evaluate(wrong_one, task, batch), lambda: fit(wrong_one, task, **QUICK)):  # noqa: B023
            with pytest.raises(ValueError, match=r"was made for other inputs \('words' or 'numbers'\) than"):
                call()
    with pytest.raises(ValueError, match="inputs must be numbers or words, got 'word'"):
        GRU(2, 5, 1, inputs="word")


# Losses and scores


def task_of(**methods):
    return type("Own", (Adding,), methods)(10)


BAD_LOSSES = {
    "a scalar": (lambda self, output, batch: Adding.loss(self, output, batch).mean(), r"got \(\)"),
    "a column": (lambda self, output, batch: Adding.loss(self, output, batch)[:, None], r"got \(3, 1\)"),
    "one for each sequence": (lambda self, output, batch: output.y.square().mean((-2, -1)), r"got \(3, 4\)"),
    "a float": (lambda self, output, batch: Adding.loss(self, output, batch).sum().item(), "got float"),
    "an array": (lambda self, output, batch: Adding.loss(self, output, batch).detach().numpy(), "got ndarray"),
    "nothing": (lambda self, output, batch: None, "got NoneType"),
    "one net's": (lambda self, output, batch: Adding.loss(self, output, batch)[:1], r"got \(1,\)"),
}


@pytest.mark.parametrize("entrance", TRAINS)
@pytest.mark.parametrize("bad", BAD_LOSSES)
def test_losses_that_are_not_one_number_a_net(bad, entrance, adams):
    loss, words = BAD_LOSSES[bad]
    nets = [net(seed=k) for k in range(3)]
    before = facts(nets)
    with pytest.raises(ValueError, match=rf"the loss of Own must be one number a net, shape \(3,\), {words}"):
        ENTRANCES[entrance](nets, task_of(loss=loss), None)
    assert not adams and alike(before, facts(nets))


def test_a_scalar_is_no_loss_of_one_net_either(adams):
    with pytest.raises(ValueError, match=r"shape \(1,\), got \(\)"):
        fit(net(), task_of(loss=BAD_LOSSES["a scalar"][0]), **QUICK)
    assert not adams


def test_losses_for_tasks_that_differ_are_each_their_own(adams):
    """K nets with tasks of one class whose losses differ: each is asked by its own, and so is each scored."""

    class Scaled(Adding):
        def __init__(self, scale):
            super().__init__(10)
            self.scale = scale

        def loss(self, output, batch):
            return self.scale * super().loss(output, batch)

        def held_out(self, split, n=50):
            batch = super().held_out(split, n)
            return replace(batch, target=batch.target * self.scale)

    tasks, nets = [Scaled(s) for s in (1.0, 5.0, 0.2)], [net(seed=k % 2).double() for k in range(3)]
    trainer = Trainer(nets, [tasks[0], tasks[1], tasks[0]], **QUICK_, clip=math.inf)
    trainer.run(progress=False)
    trainer.write()
    for k, task in enumerate((tasks[0], tasks[1], tasks[0])):
        alone = net(seed=k % 2).double()
        history = fit(alone, task, **QUICK, clip=math.inf)
        np.testing.assert_allclose(history.loss[:, 0], trainer.history.loss[:, k], rtol=1e-9)
        np.testing.assert_allclose(history.grad_norm[:, 0], trainer.history.grad_norm[:, k], rtol=1e-9)
        assert torch.allclose(alone.W, nets[k].W, rtol=1e-9, atol=1e-12)
        found = trainer.scores("validation", 20)["mse"].value[k]
        torch.testing.assert_close(found, evaluate(alone, task, task.held_out("validation", 20))[0], rtol=1e-6, atol=0)
    bad = [task_of(loss=BAD_LOSSES["a scalar"][0])] * 1
    bad += [type(bad[0])(10)]
    with pytest.raises(ValueError, match=r"must be one number a net, shape \(1,\), got \(\)"):
        fit(nets[:2], bad, **QUICK)


@pytest.mark.parametrize("entrance", TRAINS)
def test_losses_that_do_not_depend_on_the_nets(entrance, adams):
    nets = [net(seed=k) for k in range(2)]
    before = facts(nets)
    for loss in (
        lambda self, output, batch: Adding.loss(self, output, batch).detach(),
        lambda self, output, batch: batch.target.mean().expand(2),
    ):
        with pytest.raises(ValueError, match="the loss of Own does not depend on the weights of the nets"):
            ENTRANCES[entrance](nets, task_of(loss=loss), None)
    with pytest.raises(ValueError, match="D, b of ALRNN would not be trained"):
        ENTRANCES[entrance](nets, task_of(loss=lambda self, output, batch: output.z.square().mean((1, 2, 3))), None)
    assert not adams and alike(before, facts(nets))


def test_a_penalty_in_the_loss_is_in_no_score():
    task = task_of(loss=lambda self, output, batch: Adding.loss(self, output, batch) + 1)
    one = net()
    expected = ((one(BATCH.s)[0][:, -1:] - BATCH.target) ** 2).mean().item()
    assert evaluate(one, task, BATCH).item() == pytest.approx(expected, rel=1e-6)
    assert task.score(one(BATCH.s)[0], BATCH).item() == pytest.approx(expected, rel=1e-6)
    table = train_and_score([one], task, **QUICK).table
    assert table.test[0] == pytest.approx(evaluate(one, TASK, TASK.held_out("test")).item(), rel=1e-5)
    assert table.train_loss[0] > 1


K_ONES = torch.ones(2, dtype=torch.float64)
BAD_SCORES = {
    "a tensor": K_ONES,
    "numbers": {"mse": 1.0},
    "tensors": {"mse": K_ONES},
    "none": {},
    "a number": {"mse": Score(K_ONES.sum(), K_ONES.sum(), "lower")},
    "those of one net": {"mse": Score(K_ONES[:1], K_ONES[:1], "lower")},
    "one count": {"mse": Score(K_ONES, K_ONES.sum(), "lower")},
}


@pytest.mark.parametrize("entrance", ["evaluate", "scores", "sweep's run"])
@pytest.mark.parametrize("bad", BAD_SCORES)
def test_scores_that_are_none(bad, entrance, adams):
    nets = [net(seed=k) for k in range(2)]
    with pytest.raises(TypeError, match=r"scores of Own must be name: Score\(sum \(K,\), count \(K,\), better\)"):
        ENTRANCES[entrance](nets, task_of(scores=lambda self, output, batch: BAD_SCORES[bad]), None)
    assert not adams


def test_answers_that_are_no_output(adams):
    """`run` of a kind of one's own, at its first answer."""
    for answer, words in (
        (lambda out: out.y, "Tensor"),
        (lambda out: tuple(out), "tuple"),
        (lambda out: Output(out.y[0]), r"\(., 1, 1\)"),
        (lambda out: Output(out.y.expand(-1, -1, -1, 2)), r"\(1, ., 1, 2\)"),
    ):

        class Own(ALRNN):
            @classmethod
            def run(cls, w, batch, last=None, state=None, answer=answer):
                return answer(super().run(w, batch, last, state))

        one = Own(2, 5, 2, 1)
        for entrance in ("fit", "Trainer", "evaluate", "scores", "sweep's run"):
            with pytest.raises(
                ValueError, match=rf"Own must answer an Output with y \(K, B, L, O\) = .*, got {words}$"
            ):
                ENTRANCES[entrance]([one], TASK, None)
    assert not adams


def test_buffers_that_run_would_change(adams):
    """They would be lost: a stack has copies of its own."""

    class Counts(ALRNN):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.register_buffer("seen", torch.zeros(()))

        @classmethod
        def run(cls, w, batch, last=None, state=None):
            w["seen"] += 1
            return super().run(w, batch, last, state)

    with pytest.raises(ValueError, match="Counts.run changes seen: what a net knows in buffers must stay as it is"):
        fit(Counts(2, 5, 2, 1), TASK, **QUICK)
    assert not adams


def test_a_net_without_a_state_to_carry_on_from_has_no_windows(adams):
    class Forgets(ALRNN):
        @classmethod
        def run(cls, w, batch, last=None, state=None):
            return super().run(w, batch, last, state)._replace(state=None)

    class Every(Adding):
        def sample(self, n, generator):
            batch = super().sample(n, generator)
            return replace(batch, target=batch.s[..., :1], weight=torch.ones(batch.s.shape[:2]))

    one, task = Forgets(2, 5, 2, 1), Every(10)
    for call in (
        lambda: fit(one, task, **QUICK, window=5),
        lambda: scores(one, task, task.held_out("test", 5), window=5),
        lambda: train_and_score([one], task, **QUICK, window=5),
    ):
        with pytest.raises(ValueError, match="Forgets answers no state to carry on from.*windows"):
            call()
    for window in (0, -1, 2.5, "5"):
        with pytest.raises(ValueError, match="window must be an integer of at least 1"):
            scores(net(), task, task.held_out("test", 5), window=window)
    with pytest.raises(ValueError, match="only sequences with a target at each of their T = 10 steps"):
        fit(net(), TASK, **QUICK, window=5)
    assert not adams


def test_no_number_is_no_right_answer():
    """Accuracy of NaN: none, not that of the class which NaN happens to be."""
    batch = COPY.held_out("test", 50)
    y = torch.full((50, batch.last, 4), math.nan)
    assert COPY.score(y, batch) == 0 and COPY.score_sequence(y, batch) == 0


# Settings


@pytest.mark.parametrize("entrance", ["fit", "Trainer", "sweep", "describe"])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": "1e-3"}, "lr must be a number, .*got '1e-3'"),
        ({"lr": None}, "lr must be a number"),
        ({"lr": [0.1, 0.2, 0.3]}, "lr must be a number, or one for each of the"),
        ({"lr": []}, "lr must be a number, or one for each|at least one lr"),
        ({"lr": [0.1, math.nan]}, "lr must be above 0 and finite|one for each of the 1 nets"),
        ({"lr": [0.1, -0.1]}, "lr must be above 0 and finite|one for each of the 1 nets"),
        ({"lr": [0.1, "0.2"]}, "lr must be a number|one for each of the 1 nets"),
        ({"lr": 1j}, "lr must be a number"),
        ({"clip": "0.1"}, "clip must be a number, got '0.1'"),
        ({"tau": None}, "tau must be a number, got None"),
        ({"warmup": [0.1]}, r"warmup must be a number, got \[0.1\]"),
        ({"warmup": math.nan}, "warmup must be between 0 and 1"),
        ({"window": 0}, "window must be an integer of at least 1, got 0"),
        ({"steps": "10"}, "steps must be an integer of at least 1, got '10'"),
        ({"batch_size": 2.0}, "batch_size must be an integer of at least 1, got 2.0"),
        ({"schedule": None}, "schedule must be one of"),
    ],
    ids=str,
)
def test_settings_that_are_none(settings, words, entrance, adams):
    nets, given = [net(seed=k) for k in range(2)], QUICK | settings
    if entrance == "sweep" and isinstance(settings.get("lr"), list) and len(settings["lr"]) == 3:
        return  # there it is three nets for each P and seed
    before = facts(nets)
    with pytest.raises(ValueError, match=words):
        if entrance == "sweep":
            sweep(TASK, 5, [1], 1, **given)
        elif entrance == "fit":
            fit(nets, TASK, **given)
        else:
            rest = {name: value for name, value in given.items() if name != "progress"}
            Trainer(nets, TASK, **rest) if entrance == "Trainer" else describe(nets[0], TASK, **rest)
    assert not adams and alike(before, facts(nets))


def test_numbers_of_numpy_are_numbers(tmp_path):
    one, two = net(), net()
    fit(one, TASK, **QUICK, lr=np.float32(0.01), clip=np.float64(0.5), warmup=np.float32(0.0), tau=np.int64(0))
    fit(two, TASK, **QUICK, lr=float(np.float32(0.01)), clip=0.5, warmup=0.0, tau=0)
    assert alike(facts([one]), facts([two]))
    trainer = Trainer(net(), TASK, **QUICK_, clip=np.float64(0.5), tau=np.float32(0))
    trainer.save(tmp_path / "t")
    assert Trainer.load(tmp_path / "t", TASK).settings == trainer.settings


def test_a_penalty_for_what_has_no_map():
    with pytest.raises(ValueError, match="tau is for nets with an almost-linear recurrence, LSTM has none"):
        fit(LSTM(2, 5, 1), TASK, **QUICK, tau=0.1)


def test_on_step_needs_to_know_how_often():
    for every in (0, -1, 2.5):
        with pytest.raises(ValueError, match="every, with on_step, must be an integer of at least 1"):
            fit(net(), TASK, **QUICK, on_step=print, every=every)


# Sweeps: refused before anything is trained


class Unkept(Adding):
    def __init__(self, length=10, foo=1):
        super().__init__(length)


class Keywords(Adding):
    def __init__(self, **kwargs):
        super().__init__(10)
        self.kwargs = kwargs


class Positions(Adding):
    def __init__(self, *args):
        super().__init__(10)


class NoScore(Adding):
    def __init__(self):
        super().__init__(10)

    def scores(self, output, batch):
        raise RuntimeError("no score")


class NotHeld(NoScore):
    def held_out(self, split, n=100):
        raise RuntimeError("nothing held out")


class BadLater(NoScore):
    """Held-out data of which only the last sequence is bad."""

    scores = Task.scores

    def held_out(self, split, n=100):
        batch = super().held_out(split, n)
        return batch if split == "validation" else replace(batch, s=put((99, 0, 0), math.nan)(batch.s))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (Unkept, ValueError, r"Unkept must keep the arguments .* \(or have a settings\(\) of its own\).*not keep foo"),
        (Keywords, ValueError, r"Keywords must keep the arguments it is made with .*not keep \*\*kwargs"),
        (Positions, ValueError, r"Positions must keep the arguments it is made with .*not keep \*args"),
        (NoScore, RuntimeError, "no score"),
        (NotHeld, RuntimeError, "nothing held out"),
        (BadLater, ValueError, "s of a batch of BadLater contains NaN"),
    ],
)
def test_a_sweep_finds_out_before_training(make, error, words, adams):
    for call in (lambda: sweep(make(), 5, [1], 1, **QUICK), lambda: train_and_score([net()], make(), **QUICK)):
        with pytest.raises(error, match=words):
            call()
    assert not adams


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"hidden_size": [5, 6]}, "hidden_size must be an integer"),
        ({"nonlinear_sizes": 2.5}, "nonlinear_size must be an integer .* got 2.5"),
        ({"nonlinear_sizes": "12"}, "nonlinear_size must be an integer .* got '1'"),
        ({"nonlinear_sizes": None}, "nonlinear_size must be an integer .* got None"),
        ({"seeds": 2.5}, "seeds must be an integer of at least 0, got 2.5"),
        ({"seeds": None}, "seeds must be an integer of at least 0, got None"),
        ({"lr": [0.1, 0.1]}, "at least one lr and each only once"),
    ],
    ids=str,
)
def test_a_sweep_over_what_is_no_size(arguments, words, adams):
    with pytest.raises(ValueError, match=words):
        sweep(**{"task": TASK, "hidden_size": 5, "nonlinear_sizes": [1], "seeds": 1} | QUICK | arguments)
    assert not adams


def test_one_P_is_a_sweep():
    for one in (2, np.int64(2)):
        assert sweep(TASK, 5, one, 1, **QUICK).table.P.tolist() == [2]


class Unnamed(Task):
    """No name; an array among its arguments, which it keeps."""

    input_size, output_size = 2, 1

    def __init__(self, data, function=len, others=()):
        self.data, self.function, self.others = data, function, others

    def sample(self, n, generator):
        return TASK.sample(n, generator)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_a_task_without_a_name_and_with_arrays_has_a_row(kind, tmp_path):
    """Arrays by shape and hash: two that differ are told apart, however long; a row says nothing of memory."""
    data = np.arange(10_000.0)
    other = data.copy()
    other[5_000] += 1e-9
    rows = [sweep(Unnamed(kind(x), others=[x, {"a": x}]), 3, 1, 1, **QUICK) for x in (data, data.copy(), other)]
    told = [swept.table.task_data[0] for swept in rows]
    assert told[0] == told[1] != told[2] and "(10000,) float64" in told[0]
    others = [swept.table.task_others[0] for swept in rows]
    assert others[0] == others[1] != others[2]
    assert rows[0].table.task[0] == "Unnamed" and "0x" not in rows[0].table.task_function[0]
    rows[0].save(tmp_path / "s")
    pd.testing.assert_frame_equal(Sweep.load(tmp_path / "s").table, rows[0].table, check_exact=True)


def test_a_task_made_of_another_is_not_taken_for_it():
    class Noisy(Adding):
        pass

    class Renamed(Adding):
        name = "my adding"

    tables = [sweep(kind(10), 3, 1, 1, **QUICK).table for kind in (Adding, Noisy, Renamed)]
    assert [table.task[0] for table in tables] == ["adding", "Noisy", "my adding"]


def test_a_kind_that_describes_itself_in_columns_of_others(adams):
    for name in ("lr", "task", "test", "seconds"):
        own = type("Own", (ALRNN,), {"describe": lambda self, name=name: {"M": 5, name: 1}})
        with pytest.raises(ValueError, match=f"Own describes itself by {name}, which tables use otherwise"):
            train_and_score([own(2, 5, 2, 1)], TASK, **QUICK)
    assert not adams


# Files


def damaged(path, kind):
    if kind == "text":
        path.write_text("P,seed\n1,2\n")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "array":
        with open(path, "wb") as file:
            np.save(file, np.zeros(3))
    elif kind == "arrays":
        with open(path, "wb") as file:
            np.savez(file, weights=np.zeros(3))
    elif kind == "pickle":
        with open(path, "wb") as file:
            np.savez(file, theta=np.array([print], dtype=object), text=np.array(["[]"]))
    elif kind == "state dict":
        torch.save(net().state_dict(), path)
    elif kind == "no list":
        with open(path, "wb") as file:
            np.savez(file, theta=np.zeros((1, 3)), text=np.array(["[]"]))


@pytest.mark.parametrize("kind", ["text", "empty", "half", "array", "arrays", "pickle", "state dict", "no list"])
def test_files_of_others_are_said_to_be_none(kind, tmp_path):
    path = tmp_path / "file"
    Sweep(pd.DataFrame({"P": [2]}), [net()]).save(path)
    damaged(path, kind)
    with pytest.raises(ValueError, match="file is no saved sweep"):
        Sweep.load(path)
    Trainer(net(), TASK, **QUICK_).save(path)
    damaged(path, kind)
    with pytest.raises(ValueError, match="file is no saved training"):
        Trainer.load(path, TASK)


def test_each_kind_of_file_is_not_the_other(tmp_path):
    Sweep(pd.DataFrame({"P": [2]}), [net()]).save(tmp_path / "s")
    Trainer(net(), TASK, **QUICK_).save(tmp_path / "t")
    with pytest.raises(ValueError, match="t is no saved sweep"):
        Sweep.load(tmp_path / "t")
    with pytest.raises(ValueError, match="s is no saved training"):
        Trainer.load(tmp_path / "s", TASK)
    for load in (Sweep.load, lambda path: Trainer.load(path, TASK)):
        with pytest.raises(FileNotFoundError):
            load(tmp_path / "nowhere")


def test_weights_of_other_nets_in_a_file_are_not_spread_over_these(tmp_path):
    """One row for two nets would broadcast."""
    Sweep(pd.DataFrame({"P": [2, 2]}), [net(seed=0), net(seed=1)]).save(tmp_path / "s")
    with np.load(tmp_path / "s") as file:
        parts = dict(file)
    with open(tmp_path / "s", "wb") as file:
        np.savez(file, **parts | {"theta": parts["theta"][:1]})
    with pytest.raises(ValueError, match="its weights are not those of its nets"):
        Sweep.load(tmp_path / "s")


def test_a_training_goes_on_only_with_its_task(tmp_path):
    Trainer(net(), TASK, **QUICK_).save(tmp_path / "t")

    class Noisy(Adding):
        pass

    for other in (Adding(12), Noisy(10)):
        with pytest.raises(ValueError, match=r"was trained on adding .*'length': 10.*, not on"):
            Trainer.load(tmp_path / "t", other)
    with pytest.raises(TypeError, match="must be made first"):
        Trainer.load(tmp_path / "t", Adding)


def test_files_appear_whole_and_through_links(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    for save in (Sweep(pd.DataFrame({"P": [2]}), [net()]).save, Trainer(net(), TASK, **QUICK_).save):
        save(link)
        assert link.is_symlink() and sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]
    before = real.read_bytes()
    for table in (pd.DataFrame({"P": [2], "x": [[object()]]}), pd.DataFrame({"P": [2], "x": [np.zeros((2, 2))]})):
        with pytest.raises(TypeError, match="only numbers, text, lists and dicts can be saved"):
            Sweep(table, [net()]).save(link)
    assert real.read_bytes() == before and sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]


# What fails or is interrupted leaves all as it was


class Stops(Adding):
    """Raises at the n-th draw."""

    def __init__(self, draws, error=KeyboardInterrupt):
        super().__init__(10)
        self.draws, self.error = draws, error

    def sample(self, n, generator):
        self.draws -= 1
        if self.draws < 0:
            raise self.error("stop")
        return super().sample(n, generator)

    def held_out(self, split, n=20):
        return Adding(10).held_out(split, n)


@pytest.mark.parametrize("call", [fit, train_and_score], ids=["fit", "sweep's run"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_an_interrupt_leaves_nets_as_they_were_and_says_where_what_was_trained_is(call, error):
    nets = [net(seed=0).eval(), net(P=0, seed=1)]
    nets[0].D.requires_grad_(False)
    before, threads = facts(nets), torch.get_num_threads()
    with pytest.raises(error) as caught:
        call(nets, Stops(5, error), **QUICK | {"steps": 10})  # in the third step, with one of two seeds drawn
    assert alike(before, facts(nets)) and torch.get_num_threads() == threads and torch.is_grad_enabled()
    trainer = caught.value.trainer
    assert trainer.step == 2 and trainer.history.loss.shape == (2, 2) and len(trainer.history.lr) == 2
    trainer.write()
    plain = [net(seed=0), net(P=0, seed=1)]
    plain[0].D.requires_grad_(False)
    two = Trainer(plain, Adding(10), steps=10, batch_size=4)
    two.run(2, progress=False)
    two.write()
    for a, b in zip(nets, plain, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_divergence_keeps_what_was_trained():
    class Breaks(Adding):
        def loss(self, output, batch):
            return super().loss(output, batch) / (0.0 if calls.append(1) or len(calls) > 4 else 1.0)

    calls, one = [], net()
    before = facts([one])
    with pytest.raises(DivergedError) as caught:
        fit(one, Breaks(10), **QUICK | {"steps": 10})
    trainer = caught.value.trainer
    assert caught.value.step == trainer.step == 4 and alike(before, facts([one]))
    assert np.isfinite(trainer.history.loss).all() and trainer.history.loss.shape == (4, 1)
    assert trainer.history.diverged == {0: 4}
    trainer.write()
    other = Trainer(net(), TASK, steps=10, batch_size=4)
    other.run(4, progress=False)
    other.write()
    assert torch.equal(one.W, other.nets[0].W)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_training_works_whatever_torch_was_told_about_gradients(context):
    one, other = net(), net()
    fit(one, TASK, **QUICK)
    with context():
        fit(other, TASK, **QUICK)
        score = evaluate(other, TASK, BATCH)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not any(p.is_inference() for p in other.parameters()) and score.shape == (1,)


def test_nets_changed_while_they_train_are_not_written_over():
    """Refused at the end, with what was trained on the error."""
    one = net()

    def on_step(trainer):
        parametrizations.orthogonal(one, "W")
        return True

    with pytest.raises(ValueError, match="the nets to write to have another kind") as caught:
        fit(one, TASK, **QUICK, on_step=on_step, every=2)
    assert caught.value.trainer.step == 2


def test_init_of_others_is_told_by_its_fields():
    with pytest.raises(TypeError, match="speed"):
        ALRNN(2, 5, 2, 1, init={"kind": "slow", "speed": 3})
    assert ALRNN(2, 5, 2, 1, init={"kind": "slow", "value": 0.5}).init == Init("slow", value=0.5)
    assert alrnn.nets.plain(Init("slow"))["kind"] == "slow" and set(HELD_OUT) == {"validation", "test"}
