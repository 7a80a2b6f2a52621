"""A training step of the recurrence beside its peers, in one process. Run: make bench

Writes data/results/speed.csv, one row a measurement: milliseconds of the fastest step in several rounds, in which all
contestants take turns, so that whatever else the machine does hits them alike. A peer counts with its fastest variant:
on one thread or on all, with sequences first or time first.

`group` peers: the sizes of the targets, each with its ratio to ours per net. The row "arithmetic at peak" is the time
our operations would take at the rate of a large matrix product; `most` is the ratio to that: more is not to be had from
this machine as long as every step is walked. With few PWL units the linear ones leap: the rows "alrnn, P = ...", whose
ratios stand in columns of their own. `group` growth: ours over two decades of T, M, B and K, with GFLOP/s beside the
measured peak, and over P, walking and leaping. `group` whole: a training step over 10,000 words, loss and readout
included, and one step of generation, beside torch's layers.
"""

import csv
import os
import platform
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from alrnn import ALRNN, tasks
from alrnn import recurrence as rec
from alrnn.nets import Stack
from alrnn.recurrence import build, kernel, leap

RESULTS = Path(__file__).parents[1] / "data" / "results" / "speed.csv"
SIZES = {"T784": (784, 50, 128, 1, 1), "T100": (100, 20, 64, 64, 2), "T196": (196, 64, 128, 12, 1)}  # T, M, B, K, N
BASE = {"T": 100, "M": 32, "B": 64, "K": 4}
GROWTH = {
    "T": [10, 32, 100, 316, 1000],
    "M": [4, 13, 40, 126, 400],
    "B": [4, 13, 40, 126, 400],
    "K": [1, 3, 10, 32, 100],
}
LEAPS = (5, 1, 0)  # PWL units
TARGETS = {  # times ours, per net
    ("T784", "nn.RNN(relu)"): 6,
    ("T784", "nn.GRU"): 25,
    ("T784", "autograd loop"): 60,
    ("T784", "bare matrix products"): 1,
    ("T100", "nn.RNN(relu)"): 25,
    ("T196", "nn.RNN(relu)"): 4,
}
THREADS = torch.get_num_threads()
ROWS: list[dict] = []


def machine():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(x.split(":")[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor()
    return {
        "threads": THREADS,
        "cores": os.cpu_count(),
        "processor": f"{platform.machine()} {processor}",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "backend": rec.backend().name,
    }


@pytest.fixture(scope="module", autouse=True)
def results():
    yield
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(
            file, fieldnames=list(dict.fromkeys(k for row in ROWS for k in row)), lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(ROWS)


def ours(T, M, B, K, N, last=None, P=None, function=rec.recurrence):
    """Forward and backward; the loss's gradient is given, laid out as the states, here and in the peers."""
    lower = torch.full((K, M), -torch.inf)
    lower[:, M - (max(1, M // 4) if P is None else P) :] = 0
    shapes = (K, M), (K, M, M), (K, M, N), (K, M)
    A, W, C, h = (torch.randn(*shape).mul(0.4 / M**0.5).requires_grad_() for shape in shapes)
    s, z0 = torch.rand(B, T, N), torch.zeros(K, B, M)
    grad = torch.randn_like(function(s, z0, A, W, C, h, lower, last).detach())

    @kernel.owning_the_threads()  # as in `fit`
    def step():
        for x in (A, W, C, h):
            x.grad = None
        function(s, z0, A, W, C, h, lower, last).backward(grad)

    return step


def loop(T, M, B, N):
    """The equation for one net as one writes it first, step by step, differentiated by autograd."""
    A, W, C, h = (torch.randn(*x).mul(0.4 / M**0.5).requires_grad_() for x in ((M,), (M, M), (M, N), (M,)))
    linear = M - max(1, M // 4)
    s, grad = torch.rand(B, T, N), torch.randn(B, T, M)

    def step():
        for x in (A, W, C, h):
            x.grad = None
        z, states = torch.zeros(B, M), []
        for t in range(T):
            phi = torch.cat([z[:, :linear], torch.relu(z[:, linear:])], dim=1)
            z = A * z + phi @ W.T + s[:, t] @ C.T + h
            states.append(z)
        torch.stack(states, dim=1).backward(grad)

    return step


def on_torch(T, M, B, K, N):
    """The torch path, whatever the kernel can do."""
    step, library_for = ours(T, M, B, K, N), kernel.library_for

    def forced():
        kernel.library_for = lambda x: None
        try:
            step()
        finally:
            kernel.library_for = library_for

    return forced


def layer(kind, T, M, B, N, **options):
    def variant(first):
        net, s = kind(N, M, batch_first=first, **options), torch.rand(B, T, N) if first else torch.rand(T, B, N)
        grad = torch.randn_like(net(s)[0].detach())

        def step():
            net.zero_grad()
            net(s)[0].backward(grad)

        return step

    return [variant(True), variant(False)]


def products(T, M, B, K, N):
    """The matrix products of a training step and nothing else: two a step of time, one for the weights at the end."""
    W, z, g, C = torch.randn(K, M, M), torch.randn(K, M, B), torch.randn(K, M, B * T), torch.randn(K, M, N)
    s, phi = torch.randn(K, N, B * T), torch.randn(K, B * T, M + N)
    out = torch.empty(K, M, B)

    def step():
        torch.bmm(C, s)
        for _ in range(2 * T):
            torch.bmm(W, z, out=out)
        torch.bmm(g, phi)

    return step


def fastest(contestants, rounds, turn=0.1):
    """The fastest step of each in ms, over its variants and one thread or all. In each round all take turns of `turn`
    seconds, one step at least: as in training, step follows step, on a processor that has not just slept.
    """
    runs = [(name, step, n) for name, steps in contestants.items() for step in steps for n in {1, THREADS}]
    best = dict.fromkeys(contestants, float("inf"))
    for i in range(rounds + 1):  # the first round warms up
        for name, step, threads in runs:
            torch.set_num_threads(threads)
            time.sleep(0.02)  # until the idle threads of the one before have stopped spinning
            begin = end = time.perf_counter()
            while end - begin < turn:
                start = time.perf_counter()
                step()
                end = time.perf_counter()
                if i:
                    best[name] = min(best[name], 1e3 * (end - start))
    torch.set_num_threads(THREADS)
    return best


def flops(T, M, B, K, N):
    return 6.0 * K * T * B * M * (M + N)  # three products, each a multiplication and an addition


def record(group, name, sizes, ms, **more):
    T, M, B, K, N = sizes
    row = {"group": group, "name": name, "T": T, "M": M, "B": B, "K": K, "N": N, "ms": round(ms, 4)}
    ROWS.append(row | {k: round(v, 3) for k, v in more.items()} | machine())


def peak(rounds=3):
    """GFLOP/s of a large matrix product in float32: what this machine reaches at this moment."""
    sizes = {n: (torch.randn(n, n), torch.randn(n, n)) for n in (256, 512, 1024)}
    best = fastest({n: [lambda a=a, b=b: a @ b] for n, (a, b) in sizes.items()}, rounds)
    return max(2e-6 * n**3 / ms for n, ms in best.items())


@pytest.mark.parametrize("label", SIZES)
def test_peers(label, benchmark):
    T, M, B, K, N = sizes = SIZES[label]
    contestants = {
        "alrnn": [ours(*sizes)],
        "alrnn, last step": [ours(*sizes, last=1)],
        **{f"alrnn, P = {P}": [ours(*sizes, last=1, P=P, function=leap.leap)] for P in LEAPS},
        "nn.RNN(relu)": layer(nn.RNN, T, M, B, N, nonlinearity="relu"),
        "nn.GRU": layer(nn.GRU, T, M, B, N),
        "nn.LSTM": layer(nn.LSTM, T, M, B, N),
        "autograd loop": [loop(T, M, B, N)],
        "torch path": [on_torch(*sizes)],
        "bare matrix products": [products(*sizes)],
    }
    alone = ("nn.RNN(relu)", "nn.GRU", "nn.LSTM", "autograd loop")  # one net, not all K
    high = peak()
    best = fastest(contestants, rounds=8)
    high = max(high, peak())
    best["arithmetic at peak"] = flops(*sizes) / high / 1e6
    each = {name: ms / (1 if name in alone else K) for name, ms in best.items()}
    print(
        f"\nT={T} M={M} B={B} K={K}, training step, up to {THREADS} threads, {rec.backend().name}, {high:.0f} GFLOP/s"
    )
    leaps = "".join(f"{f'/ P={P}':>8}" for P in LEAPS)
    print(f"  {'':22}{'ms':>10}{'ms a net':>11}{'/ ours':>9}{'/ last=1':>9}{leaps}{'target':>8}{'at most':>9}")
    for name, ms in best.items():
        ratios = {
            "times_alrnn": each[name] / each["alrnn"],
            "times_last": each[name] / each["alrnn, last step"],
            **{f"times_P{P}": each[name] / each[f"alrnn, P = {P}"] for P in LEAPS},
            "most": each[name] / each["arithmetic at peak"],
        }
        target = TARGETS.get((label, name))
        goal = {} if target is None else {"target": target}
        record("peers", name, sizes, ms, ms_per_net=each[name], **ratios, **goal, peak_gflops=high)
        print(f"  {name:22}{ms:10.2f}{each[name]:11.3f}", end="")
        leaps = "".join(f"{ratios[f'times_P{P}']:8.2f}" for P in LEAPS)
        print(f"{ratios['times_alrnn']:9.2f}{ratios['times_last']:9.2f}{leaps}{target or '':>8}{ratios['most']:9.2f}")
    benchmark.pedantic(contestants["alrnn"][0], rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("size", GROWTH)
def test_growth(size, benchmark):
    print(f"\ngrowth with {size}, from {BASE}")
    for value in GROWTH[size]:
        chosen = BASE | {size: value}
        sizes = (chosen["T"], chosen["M"], chosen["B"], chosen["K"], 1)
        for last in (None, 1):
            ms = fastest({"ours": [ours(*sizes, last=last)]}, rounds=3)["ours"]
            rate, most = flops(*sizes) / ms / 1e6, peak(rounds=1)
            record(
                f"growth {size}",
                "alrnn" if last is None else "alrnn, last step",
                sizes,
                ms,
                gflops=rate,
                peak_gflops=most,
            )
            print(f"  {size}={value:5} last={last!s:5}{ms:10.3f} ms {rate:8.1f} GFLOP/s of {most:6.1f}")
    benchmark.pedantic(ours(*sizes), rounds=3)


def test_growth_with_pwl_units(benchmark):
    """The last state only, walking and leaping; in turns, so that the ratio of the two is to be trusted."""
    T, M, B, K, N = sizes = SIZES["T784"]
    print("\ngrowth with P")
    for P in (0, 1, 2, 3, 5, 8, 12, 25, 50):
        functions = {"alrnn, last step": rec.recurrence, "alrnn, leaping": leap.leap}
        steps = {name: ours(*sizes, last=1, P=P, function=f) for name, f in functions.items()}
        best = fastest({name: [step] for name, step in steps.items()}, rounds=8)
        for name, ms in best.items():
            record("growth P", name, sizes, ms, P=P, L=leap.longest(K, B, T, M, P, N) if "leap" in name else 1)
        print(f"  P={P:3}" + "".join(f"  {name} {ms:8.3f} ms" for name, ms in best.items()))
    benchmark.pedantic(steps["alrnn, leaping"], rounds=3)


class Words(tasks.Task):
    """The next of `vocabulary` words, drawn at random: for the time it takes."""

    name, inputs, metric = "words", "words", "cross_entropy"

    def __init__(self, vocabulary):
        self.vocabulary = self.input_size = self.output_size = vocabulary

    def sample(self, n, generator):
        text = torch.randint(self.vocabulary, (n, 36), generator=generator)
        return tasks.Batch(text[:, :-1], text[:, 1:].contiguous(), torch.ones(n, 35))


def test_words(benchmark):
    """Forward, loss and backward over 10,000 words, T = 35, B = 32, M = 64, one net."""
    V, M, task = 10_000, 64, Words(10_000)
    batch, stack = task.sample(32, torch.Generator().manual_seed(0)), Stack([ALRNN(V, M, 8, V, init="slow")])
    layers = nn.ModuleList([nn.Embedding(V, M), nn.RNN(M, M, batch_first=True, nonlinearity="relu"), nn.Linear(M, V)])

    def ours():
        stack.theta.grad = None
        task.loss(stack.run(batch), batch).sum().backward()

    def theirs():
        layers.zero_grad()
        y = layers[2](layers[1](layers[0](batch.s))[0])
        nn.functional.cross_entropy(y.flatten(0, 1), batch.target.flatten()).backward()

    compare("words", (35, M, 32, 1, V), {"alrnn": ours, "nn.Embedding, nn.RNN, nn.Linear": theirs})
    benchmark.pedantic(ours, rounds=3)


def test_generation(benchmark):
    """One step for one sequence, without gradients: N = O = 10, M = 50."""
    net, cell, linear = ALRNN(10, 50, 5, 10, init="slow"), nn.RNNCell(10, 50, nonlinearity="relu"), nn.Linear(50, 10)
    s, z = torch.rand(1, 1, 10), torch.zeros(1, 50)

    @torch.no_grad()
    def ours():
        net(s, z)

    @torch.no_grad()
    def theirs():
        linear(cell(s[:, 0], z))

    compare("generation", (1, 50, 1, 1, 10), {"alrnn": ours, "nn.RNNCell, nn.Linear": theirs})
    benchmark.pedantic(ours, rounds=100)


def compare(what, sizes, steps):
    best = fastest({name: [step] for name, step in steps.items()}, rounds=8)
    for name, ms in best.items():
        record("whole", f"{what}: {name}", sizes, ms, times_alrnn=ms / best["alrnn"])
        print(f"\n  {what}: {name:34}{ms:10.3f} ms {ms / best['alrnn']:8.2f}", end="")


def test_build(benchmark, tmp_path):
    """Seconds to compile the kernel."""
    compilers = build._compilers()
    if not compilers:
        pytest.skip("no C compiler")
    tmp_path.chmod(0o700)
    start = time.perf_counter()
    benchmark.pedantic(lambda: build._build(compilers[0], tmp_path, "kernel.so"), rounds=1)
    print(f"\nbuilt in {time.perf_counter() - start:.2f} s")
    record("build", "alrnn", (0, 0, 0, 0, 0), 1e3 * (time.perf_counter() - start))
