"""Training in parts: blocks, files and interrupts change no bit; looks on the way, early stopping, rates; what is held
in memory, and how often a device would be waited for."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from alrnn import ALRNN, EarlyStopping, Trainer, evaluate, fit
from alrnn.nets import LSTM, RNN
from alrnn.nets.almost_linear import readout
from alrnn.recurrence import kernel
from alrnn.tasks import Adding, Batch, Score, Task, VariableCopy
from alrnn.train import scores
from alrnn.train.trainer import LOOK

ROOT = Path(__file__).resolve().parent.parent
TASK = Adding(10)


class Stream(Task):
    """Running sums: a target at every step."""

    name, input_size, output_size = "stream", 2, 1

    def __init__(self, length=12):
        self.length = length

    def sample(self, n, generator):
        s = torch.randn(n, self.length, 2, generator=generator)
        weight = torch.rand(n, self.length, generator=generator) + 0.1
        return Batch(s, 0.3 * s.sum(-1, keepdim=True).cumsum(1), weight)


class Breaks(Adding):
    """The loss of the nets of seed 1 is infinite from the fifth step on."""

    def loss(self, output, batch):
        loss = super().loss(output, batch)
        return torch.where(batch.info["late"].any(-1), torch.inf, loss)

    def sample(self, n, generator):
        batch = super().sample(n, generator)
        seen = torch.rand(1, generator=torch.Generator().manual_seed(int(batch.s[0, 0, 0] * 1e6)))  # of the batch alone
        return replace(batch, info={"late": (seen < 0.25).expand(n)})


def net(P=2, seed=0, task=TASK, M=6, dtype=torch.float64):
    return ALRNN(task.input_size, M, P, task.output_size, seed, "slow").to(dtype)


def mixed(task=TASK, dtype=torch.float64):
    return [net(P, seed, task, dtype=dtype) for P, seed in ((0, 0), (2, 1), (6, 0))]


# name -> nets, task, settings
RUNS = {
    "float64": (lambda: mixed(), TASK, {}),
    "float32": (lambda: mixed(dtype=torch.float32), TASK, {"tau": 0.1}),
    "rates": (lambda: mixed(), TASK, {"lr": [0.01, 0.03, 0.01], "schedule": "constant"}),
    "drop": (lambda: mixed(), Breaks(10), {"diverged": "drop"}),
    "window": (lambda: mixed(Stream()), Stream(), {"window": 5}),
    "window, rates": (lambda: mixed(Stream(), torch.float32), Stream(), {"window": 5, "lr": [0.1, 0.02, 0.02]}),
    "window of an LSTM": (lambda: [LSTM(2, 4, 1, seed=k) for k in range(2)], Stream(), {"window": 5}),
    "start noise": (lambda: mixed(), TASK, {"start_noise": 0.3}),
    "start noise, window": (lambda: mixed(Stream()), Stream(), {"start_noise": 0.3, "window": 5}),
    "frozen": (lambda: [net(P, 0) for P in (1, 3)], TASK, {"clip": 1e-3}),
    "one": (lambda: net(), TASK, {}),
}


def trainer(name):
    make, task, given = RUNS[name]
    nets = make()
    if name == "frozen":
        nets[0].W.requires_grad_(False)
    return Trainer(nets, task, **{"steps": 20, "batch_size": 6, "lr": 0.02} | given)


def facts(one):
    """All that a training has come to, to the last bit; seconds aside."""
    past = one.history
    nets = [p.detach() for x in one.nets for p in x.parameters()]
    return [
        one.stack.theta.detach(),
        *map(torch.from_numpy, (past.loss, past.grad_norm, past.lr)),
        past.diverged,
        *nets,
    ]


def same(a, b):
    """Bit for bit; NaN is NaN."""
    pairs = list(zip(a, b, strict=True))
    return all(
        x == y if isinstance(x, dict) else x.dtype == y.dtype and x.numpy().tobytes() == y.numpy().tobytes()
        for x, y in pairs
    )


# In parts


@pytest.mark.parametrize("name", RUNS)
def test_blocks_are_one_run_bit_for_bit(name):
    whole, parts = trainer(name), trainer(name)
    whole.run(progress=False)
    for steps in (0, 1, 1, 8, 13, None):
        parts.run(steps, progress=False)
    for one in (whole, parts):
        one.write()
    assert parts.step == 20 and same(facts(whole), facts(parts)) and len(whole.history.lr) == 20
    assert (name == "drop") == bool(whole.history.diverged)  # the case is what it is called


def test_parts_are_fit():
    one, other = mixed(), trainer("float64")
    history = fit(one, TASK, steps=20, batch_size=6, lr=0.02, progress=False)
    other.run(progress=False)
    assert (history.loss == other.history.loss).all()
    other.write()
    for a, b in zip(one, other.nets, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_no_further_than_the_settings_say():
    one = trainer("one")
    with pytest.raises(ValueError, match="steps must be an integer from 0 to steps = 20, got 21"):
        one.run(21, progress=False)
    one.run(progress=False)
    before = facts(one)
    one.run(progress=False)
    one.run(3, progress=False)
    assert same(before, facts(one))


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """Each run saved after 7 steps, and gone on with in a new process, which saves what came of it."""
    folder = tmp_path_factory.mktemp("trainings")
    for name in RUNS:
        one = trainer(name)
        one.run(7, progress=False)
        one.save(folder / name)
    script = f"""
        import sys, torch
        sys.path.insert(0, {str(ROOT / "tests")!r})
        import test_trainer
        from alrnn import Trainer
        for name, (_, task, _) in test_trainer.RUNS.items():
            one = Trainer.load({str(folder)!r} + "/" + name, task)
            assert one.step == 7
            one.run(11, progress=False)
            one.save({str(folder)!r} + "/" + name)  # over the old file, and once more
            one = Trainer.load({str(folder)!r} + "/" + name, task)
            one.run(progress=False)
            one.write()
            frozen = [[n for n, p in net.named_parameters() if not p.requires_grad] for net in one.nets]
            torch.save([test_trainer.facts(one), frozen, one.history.P, one.history.seed], {str(folder)!r} + "/" + name)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=300)
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_a_new_process_goes_on_bit_for_bit(name, resumed):
    whole = trainer(name)
    whole.run(progress=False)
    whole.write()
    found, frozen, P, seed = torch.load(resumed / name)
    assert same(facts(whole), found)
    assert frozen == [[n for n, p in one.named_parameters() if not p.requires_grad] for one in whole.nets]
    assert (P, seed) == (whole.history.P, whole.history.seed)


def test_saving_changes_nothing_and_files_stay_small(tmp_path):
    one, other = trainer("window"), trainer("window")
    one.run(on_step=lambda t: t.save(tmp_path / "t"), every=1, progress=False)
    other.run(progress=False)
    assert same(facts(one), facts(other)) and [p.name for p in tmp_path.iterdir()] == ["t"]
    assert (tmp_path / "t").stat().st_size < 60_000  # two generators of 5 kB each, and what 20 steps came to
    done = Trainer.load(tmp_path / "t", Stream())
    done.run(progress=False)
    assert done.step == 20 and (done.history.loss == one.history.loss).all()


def test_a_trained_net_is_written_when_it_is_asked_for():
    one = trainer("one")
    start = [p.detach().clone() for p in one.nets[0].parameters()]
    one.run(5, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(start, one.nets[0].parameters(), strict=True))
    one.write()
    assert torch.equal(torch.cat([p.flatten() for p in one.nets[0].parameters()]), one.stack.theta[0])


# Interrupts


@pytest.mark.parametrize("name", ["float64", "window", "rates", "drop", "start noise, window"])
@pytest.mark.parametrize("at", ["on_step", "sample", "loss"])
def test_an_interrupt_goes_on_to_the_same_bits(name, at, monkeypatch):
    whole, one, calls, interrupts = trainer(name), trainer(name), [], 0
    whole.run(progress=False)

    def stop_now(*args):
        calls.append(1)
        if len(calls) in (2, 5, 6, 12):
            raise KeyboardInterrupt

    for place, what in ((one.task, "sample"), (one, "_loss")):
        if at == what.lstrip("_"):
            plain = getattr(place, what)
            monkeypatch.setattr(place, what, lambda *args, plain=plain: (plain(*args), stop_now())[0])
    while one.step < 20:
        try:
            one.run(on_step=stop_now if at == "on_step" else None, every=2, progress=False)
        except KeyboardInterrupt as error:
            interrupts += 1
            assert error.trainer is one and len(one.history.loss) == len(one.history.lr) == one.step
    assert interrupts == sum(n <= len(calls) for n in (2, 5, 6, 12)) >= 3 and same(facts(whole), facts(one))


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["float64", "window, rates"])
def test_an_interrupt_at_any_moment_goes_on_to_the_same_bits(name):
    """Real ones, from another thread, every few steps, wherever in a step they fall."""
    make, task, given = RUNS[name]
    given = {"steps": 150, "batch_size": 6, "lr": 0.02} | given
    whole, one = Trainer(make(), task, **given), Trainer(make(), task, **given)
    a_step = whole.run(progress=False).seconds / 150
    armed, done, interrupts = threading.Event(), threading.Event(), 0

    def disturb():
        wait = np.random.default_rng(0)
        while not done.wait(wait.uniform(0.5, 12) * a_step):
            os.kill(os.getpid(), signal.SIGINT)

    def handler(*_):
        if armed.is_set():  # else it would fall upon the test itself
            armed.clear()
            raise KeyboardInterrupt

    before, disturber = signal.signal(signal.SIGINT, handler), threading.Thread(target=disturb)
    try:
        disturber.start()
        while one.step < 150:
            try:
                armed.set()
                one.run(progress=False)
                armed.clear()
            except KeyboardInterrupt:
                interrupts += 1
    finally:
        done.set()
        disturber.join()
        assert signal.signal(signal.SIGINT, before) is handler  # training gave it back each time
    assert interrupts > 3 and same(facts(whole), facts(one))


def test_training_runs_where_no_signal_arrives():
    found = []
    worker = threading.Thread(target=lambda: found.append(fit(net(), TASK, steps=2, progress=False)))
    worker.start()
    worker.join()
    assert len(found[0].loss) == 2


# Looks on the way


def test_on_step_is_called_in_order_and_after_the_last_step():
    seen = []

    def on_step(one):
        seen.append((one.step, len(one.history.loss), next(iter(one.scores(n=5).values())).value.shape))

    fit(mixed(), TASK, steps=10, progress=False, on_step=on_step, every=4)
    assert seen == [(4, 4, (3,)), (8, 8, (3,)), (10, 10, (3,))]
    seen.clear()
    fit(mixed(), TASK, steps=8, progress=False, on_step=on_step, every=4)
    assert [step for step, *_ in seen] == [4, 8]  # once, where they coincide


@pytest.mark.parametrize(
    "answer", [True, np.True_, np.bool_(1), torch.tensor(True)], ids=["bool", "np", "np1", "tensor"]
)
def test_any_truth_stops(answer):
    one = net()
    history = fit(one, TASK, steps=10, progress=False, on_step=lambda t: answer if t.step == 4 else None, every=2)
    other = Trainer(net(), TASK, steps=10)
    other.run(4, progress=False)
    other.write()
    assert len(history.loss) == 4 and torch.equal(one.W, other.nets[0].W)  # the nets get what is trained by then


@pytest.mark.parametrize("answer", [None, False, 0, 1, "stop", {"mse": 0.1}, np.ones(3), np.False_])
def test_nothing_else_stops(answer):
    assert len(fit(net(), TASK, steps=3, progress=False, on_step=lambda t: answer, every=1).loss) == 3


def test_looking_changes_nothing():
    whole, one = trainer("float64"), trainer("float64")
    whole.run(progress=False)
    one.run(on_step=lambda t: (t.scores("test", 50), t.history, t.stack(torch.zeros(1, 2, 2).double())), every=3)
    assert same(facts(whole), facts(one))


# Early stopping


class Backwards(Adding):
    """A main score of its own, of which more is better, though the metric is an error."""

    def scores(self, output, batch):
        found = super().scores(output, batch)["mse"]
        return {"worth": Score(-found.sum, found.count, "higher"), "mse": found}


class Longer(Adding):
    """Main score that gets worse as training goes on: the first look is the best."""

    def scores(self, output, batch):
        found = super().scores(output, batch)["mse"]
        return {"size": Score(-found.sum, found.count, "lower")}


def stopped_by_hand(task, nets, every, patience, n, steps, **given):
    """Train all steps, keeping every look; then decide with the looks in a list, one net after another."""
    looks, shots = [], []

    def look(one):
        looks.append([float(evaluate(x, task, task.held_out("validation", n))) for x in copies(one)])
        shots.append(one.stack.theta.detach().clone())

    def copies(one):
        made = [x.copy() for x in one.nets]
        one.stack.write_to(made)
        return made

    one = Trainer(nets, task, steps=steps, **given)
    one.run(on_step=look, every=every, progress=False)
    batch = task.held_out("validation", n)
    sign = 1 if next(iter(scores(nets[:1], task, batch).values())).better == "lower" else -1
    best, since, at = [None] * len(nets), 0, 0
    for i, row in enumerate(looks):
        improved = False
        for k, score in enumerate(row):
            if best[k] is None or sign * score < sign * looks[best[k]][k]:
                best[k], improved = i, True
        since, at = (0, i) if improved else (since + 1, i)
        if since == patience:
            break
    taken = torch.stack([shots[b][k] for k, b in enumerate(best)])
    when = [min((b + 1) * every, steps) for b in best]
    return [looks[b][k] for k, b in enumerate(best)], when, taken, min((at + 1) * every, steps)


@pytest.mark.parametrize(
    ("task", "patience", "lr"),
    [
        (Adding(10), 2, 0.3),
        (Adding(10), 50, 0.3),
        (Backwards(10), 2, 0.3),
        (Longer(10), 3, 0.05),
        (VariableCopy(2, 1, 3), 3, 0.2),
    ],
    ids=["adding", "patient", "backwards", "longer", "copy"],
)
def test_early_stopping_by_hand(task, patience, lr):
    def make():
        return [ALRNN(task.input_size, 5, P, task.output_size, seed).double() for P, seed in ((0, 0), (2, 1), (5, 2))]

    given = {"batch_size": 4, "lr": lr, "schedule": "constant", "clip": 5.0}
    best, when, taken, end = stopped_by_hand(task, make(), 3, patience, 40, 61, **given)
    nets, stopping = make(), EarlyStopping(patience, n=40)
    history = fit(nets, task, steps=61, progress=False, on_step=stopping, every=3, **given)
    assert len(history.loss) == end and stopping.step.tolist() == when
    np.testing.assert_allclose(stopping.best, best, rtol=1e-9)
    for one, row in zip(nets, taken, strict=True):
        found = torch.cat([p.detach().flatten() for p in one.parameters()])
        torch.testing.assert_close(found, row, rtol=1e-9, atol=1e-12)
    if patience == 50:
        assert end == 61 and len(set(when)) > 1  # it ran to its end, and nets have their best at different steps
    else:
        assert end < 61


def test_a_look_of_another_run_is_not_kept():
    """One object for two runs: the second begins anew, and none of the first's weights get into its nets."""
    stopping, alone = EarlyStopping(2, n=30), EarlyStopping(2, n=30)
    given = {"steps": 30, "lr": 0.3, "progress": False, "every": 3, "schedule": "constant"}
    fit(net(seed=1), TASK, on_step=stopping, **given)
    again, fresh = net(seed=2), net(seed=2)
    fit(again, TASK, on_step=stopping, **given)
    fit(fresh, TASK, on_step=alone, **given)
    assert torch.equal(again.W, fresh.W) and (stopping.best == alone.best).all()


def test_a_score_that_is_no_number_is_never_the_best():
    class Sometimes(Adding):
        def scores(self, output, batch):
            found, calls[0] = super().scores(output, batch)["mse"], calls[0] + 1
            return {"mse": Score(found.sum * (np.nan if calls[0] % 2 else 1.0), found.count, "lower")}

    calls, stopping = [0], EarlyStopping(20, n=5)
    fit(net(), Sometimes(10), steps=8, progress=False, on_step=stopping, every=1)
    assert np.isfinite(stopping.best).all() and stopping.step[0] % 2 == 0


def test_patience_is_a_number_of_looks():
    for patience in (0, -1, 2.5, None):
        with pytest.raises(ValueError, match="patience must be an integer of at least 1"):
            EarlyStopping(patience)


# Rates and devices


@pytest.mark.parametrize("given", [{}, {"schedule": "constant", "tau": 0.1}], ids=str)
def test_each_net_at_its_own_rate_is_as_alone(given):
    rates, settings = [0.05, 0.001, 0.05], {"steps": 15, "batch_size": 6, "progress": False} | given
    together = mixed()
    history = fit(together, TASK, lr=rates, **settings)
    for k, (rate, alone) in enumerate(zip(rates, mixed(), strict=True)):
        single = fit(alone, TASK, lr=rate, **settings)
        np.testing.assert_allclose(history.loss[:, k], single.loss[:, 0], rtol=1e-9)
        for a, b in zip(together[k].parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
        assert np.allclose(history.lr, single.lr * max(rates) / rate)  # told is the highest
    one, two = mixed(), mixed()
    fit(one, TASK, lr=[0.01] * 3, **settings)
    fit(two, TASK, lr=0.01, **settings)
    assert all(torch.equal(a.W, b.W) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), None])
def test_the_device_at_hand_changes_nothing(device):
    one, two = mixed(), mixed()
    fit(one, TASK, steps=3, progress=False, device=device)
    fit(two, TASK, steps=3, progress=False)
    assert all(torch.equal(a.W, b.W) and a.W.device.type == "cpu" for a, b in zip(one, two, strict=True))


class Waits(TorchDispatchMode):
    """Counts reads of single numbers: on a device, each waits for all that was begun."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += "_local_scalar_dense" in str(function) or "nonzero" in str(function)
        return function(*args, **kwargs or {})


class Reads(TorchFunctionMode):
    """Counts what reads whole tensors into Python."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        if name in ("tolist", "numpy", "cpu", "item", "__bool__", "__int__", "__float__", "__array__"):
            self.names.append(name)
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("diverged", ["raise", "drop"])
def test_how_often_a_step_waits(diverged, monkeypatch):
    """On the CPU a step looks once whether its nets are finite. On a CUDA device, which this imitates by its branches
    and by torch's own path, no step waits but the first, which checks, and every 50th, which looks and tells the loss.
    """
    monkeypatch.setattr(kernel, "library_for", lambda x: None)
    for cuda in (False, True):
        with monkeypatch.context() as patch:
            if cuda:
                patch.setattr(torch.nn.Parameter, "is_cuda", property(lambda self: True), raising=False)
            one = Trainer(mixed(), Adding(4), steps=LOOK + 10, batch_size=2, diverged=diverged)
            one._replay = lambda batch, one=one: one._compute(batch)[:3]  # as it is where it is no graph
            one._advance()
            for _ in range(8):
                with Waits() as waits, Reads() as reads:
                    one._advance()
                assert waits.count == (not cuda) and reads.names == ["__bool__"] * (not cuda)
            with Waits(), Reads() as reads:
                one.run(progress=False)
            looks, history = ["item", "tolist"] * 2, ["cpu", "numpy", "tolist"]
            assert sorted(reads.names) == sorted(["__bool__"] * 51 * (not cuda) + looks + history)


# What is held in memory


def test_a_step_leaves_no_tensor_behind():
    """Each would keep apart the freed memory around it, which so could not be used again: gigabytes in long runs."""

    def alive():
        gc.collect()
        return sum(type(x) is torch.Tensor for x in gc.get_objects())

    trainer = Trainer(mixed(), Adding(4), steps=30, batch_size=2)
    trainer.run(5, progress=False)
    before = alive()
    trainer.run(25, progress=False)
    assert alive() <= before + 2


LARGE = """
    import sys, time
    import torch
    import alrnn
    from alrnn.tasks import Batch, Task

    class Words(Task):
        name, inputs, metric, input_size, output_size = "words", "words", "cross_entropy", 10_000, 10_000

        def sample(self, n, generator):
            words = torch.randint(10_000, (n, 36), generator=generator)
            return Batch(words[:, :-1], words[:, 1:], torch.ones(n, 35))

    task = Words()
    net = alrnn.ALRNN(10_000, 20, 2, 10_000, init="slow")
    batch = task.held_out("test", {n})
    start = time.perf_counter()
    score = alrnn.evaluate(net, task, batch)
    peak = open("/proc/self/status").read().split("VmHWM:")[1].split()[0]  # ru_maxrss would count the parent's, too
    print(score.item(), time.perf_counter() - start, int(peak) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says what the peak was")
def test_scoring_ten_thousand_words_takes_less_than_a_gigabyte():
    """A thousand sequences of 35 words: all outputs at once would be 1.4 GB. The peak is that of the whole process."""
    script = textwrap.dedent(LARGE).format(n=1_000)  # more takes longer and no more memory
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    score, seconds, peak = map(float, run.stdout.split())
    assert peak < 800, f"{peak:.0f} MB in {seconds:.0f} s"
    assert score == pytest.approx(np.log(10_000), abs=0.1)


@settings(max_examples=30, deadline=None)
@given(
    chunk=st.none() | st.integers(1, 30), window=st.none() | st.integers(1, 15), seed=st.integers(0, 9), data=st.data()
)
def test_scores_add_up_over_any_parts(chunk, window, seed, data):
    """Sums and counts of any chunks and windows are those of all at once, each net's own sequences or shared ones."""
    task = Stream()
    kind = data.draw(st.sampled_from([ALRNN, RNN, LSTM]))
    nets = mixed(task) if kind is ALRNN else [kind(2, 4, 1, seed=k).double() for k in range(3)]
    batches = [task.sample(23, torch.Generator().manual_seed(seed + k)).to(torch.float64) for k in range(3)]
    own = data.draw(st.booleans())
    batch = Batch.per_net(batches, torch.arange(3)) if own else batches[0]
    found = scores(nets, task, batch, chunk, window)["mse"]
    for k, one in enumerate(nets):
        here = batches[k if own else 0]
        error = (one(here.s)[0] - here.target).square()[..., 0]
        torch.testing.assert_close(found.sum[k], (error * here.weight).sum(), rtol=1e-10, atol=0)
        torch.testing.assert_close(found.count[k], here.weight.sum(), rtol=1e-12, atol=0)
    assert found.sum.dtype == found.count.dtype == torch.float64


small = st.integers(1, 4)


@settings(max_examples=40, deadline=None)
@given(K=small, B=small, L=small, M=small, O=st.integers(0, 9), data=st.data())
def test_readouts_are_the_same_in_either_layout(K, B, L, M, O, data):  # noqa: E741
    """Few or many outputs: y = D z + b and all gradients, whatever order z has in memory."""
    generator = torch.Generator().manual_seed(K + 10 * B + 100 * L)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    order = data.draw(st.permutations(range(4)))
    shape = (K, B, L, M)
    z = normal(*(shape[i] for i in order)).permute([order.index(i) for i in range(4)]).requires_grad_()
    w = {"D": normal(K, O, M).requires_grad_(), "b": normal(K, O).requires_grad_()}
    y, slope = readout(w, z), normal(K, B, L, O)
    assert y.shape == (K, B, L, O)
    expected = torch.einsum("kom,kblm->kblo", w["D"], z) + w["b"][:, None, None]
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    inputs = (z, w["D"], w["b"])
    for a, b in zip(torch.autograd.grad(y, inputs, slope), torch.autograd.grad(expected, inputs, slope), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("classes", [3, 50])
def test_many_classes_are_trained_as_few_are(classes):
    """More classes than units, laid out otherwise: loss and gradients of a plain loop."""

    class Classes(Task):
        name, metric, input_size = "classes", "accuracy", 2

        def __init__(self, classes):
            self.classes = self.output_size = classes

        def sample(self, n, generator):
            s = torch.randn(n, 6, 2, generator=generator)
            return Batch(s, torch.randint(self.classes, (n, 3), generator=generator), torch.rand(n, 3) * 0 + 0.5)

    task, nets = Classes(classes), [ALRNN(2, 8, P, classes, seed=1).double() for P in (0, 3)]
    one = Trainer([x.copy() for x in nets], task, steps=1, batch_size=5, clip=np.inf)
    batch = task.sample(5, torch.Generator().manual_seed(2_000_000_001)).to(torch.float64)
    loss, norm, grad, _ = one._compute(batch)
    for k, x in enumerate(nets):
        y = x(batch.s)[0][:, -3:]
        expected = torch.nn.functional.cross_entropy(y.flatten(0, 1), batch.target.flatten())
        expected.backward()
        torch.testing.assert_close(loss[k], expected.detach(), rtol=1e-10, atol=0)
        torch.testing.assert_close(
            grad[k], torch.cat([p.grad.flatten() for p in x.parameters()]), rtol=1e-9, atol=1e-13
        )
        torch.testing.assert_close(norm[k], grad[k].norm())


def test_sequences_start_in_noise_of_the_given_size_and_nets_of_a_seed_in_the_same():
    noise, nets = 0.3, [net(P, seed) for P, seed in ((0, 0), (2, 1), (6, 0))]
    one = Trainer(nets, TASK, batch_size=500, start_noise=noise)
    batch, here = one._streams.next(check=True)
    assert here.state.shape == (3, 500, 6) and here.state.dtype == torch.float64
    assert torch.equal(here.state[0], here.state[2]) and not torch.equal(here.state[0], here.state[1])
    assert noise * 0.99 < here.state.abs().max() <= noise and abs(here.state.mean()) < 0.02
    assert here.state.std() == pytest.approx(noise / 3**0.5, rel=0.05)
    loss, *_ = one._compute(batch, here.state)
    for k, single in enumerate(nets):
        s = batch.s[k] if batch.stacked else batch.s
        y, _ = single(s, here.state[k])
        own = Batch(s, *((x[k] if batch.stacked else x) for x in (batch.target, batch.weight)))
        assert torch.allclose(TASK.loss(y[:, -own.last :], own), loss[k], rtol=1e-12)
    _, later = one._streams.next(check=True)
    assert torch.equal(later.state, here.state)  # as long as the step is not done


def test_training_together_from_noise_is_training_alone():
    together, alone = mixed(), mixed()
    fit(together, TASK, steps=10, start_noise=0.2, progress=False)
    for one, other in zip(together, alone, strict=True):
        fit(other, TASK, steps=10, start_noise=0.2, progress=False)
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)
    still = mixed()
    fit(still, TASK, steps=10, progress=False)
    assert not torch.allclose(still[0].W, together[0].W, rtol=1e-6)


@pytest.mark.parametrize(("value", "words"), [(-1.0, "at least 0"), (float("inf"), "finite"), ("1", "a number")])
def test_start_noise_out_of_range(value, words):
    with pytest.raises(ValueError, match=words):
        fit(net(), TASK, steps=1, start_noise=value)
    with pytest.raises(ValueError, match="one almost-linear recurrence, not LSTM"):
        fit(LSTM(TASK.input_size, 4, TASK.output_size), TASK, steps=1, start_noise=0.1)
