"""A training step of the recurrence beside its peers, in one process. Run: make bench

Writes data/results/speed.csv, one row a measurement: milliseconds of the fastest of several rounds, in which all
contestants take turns, so that whatever else the machine does hits them alike. `group` peers: the sizes of the targets,
each with its ratio to ours per net. `group` growth: ours over two decades of T, M, B and K, with GFLOP/s beside the
measured peak.
"""

import csv
import os
import platform
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from alrnn import kernel
from alrnn import recurrence as rec

RESULTS = Path(__file__).parents[1] / "data" / "results" / "speed.csv"
SIZES = {"T784": (784, 50, 128, 1, 1), "T100": (100, 20, 64, 64, 2), "T196": (196, 64, 128, 12, 1)}  # T, M, B, K, N
BASE = {"T": 100, "M": 32, "B": 64, "K": 4}
GROWTH = {
    "T": [10, 32, 100, 316, 1000],
    "M": [4, 13, 40, 126, 400],
    "B": [4, 13, 40, 126, 400],
    "K": [1, 3, 10, 32, 100],
}
ROWS: list[dict] = []


def machine():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(x.split(":")[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor()
    return {
        "threads": torch.get_num_threads(),
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


def ours(T, M, B, K, N, last=None, function=rec.recurrence):
    """Forward and backward; the loss's gradient is given, as in the peers."""
    lower = torch.full((K, M), -torch.inf)
    lower[:, : max(1, M // 4)] = 0
    shapes = (K, M), (K, M, M), (K, M, N), (K, M)
    A, W, C, h = (torch.randn(*shape).mul(0.4 / M**0.5).requires_grad_() for shape in shapes)
    s, z0, grad = torch.rand(B, T, N), torch.zeros(K, B, M), torch.randn(K, B, last or T, M)

    def step():
        for x in (A, W, C, h):
            x.grad = None
        function(s, z0, A, W, C, h, lower, last).backward(grad)

    return step


def on_torch(T, M, B, K, N):
    """The torch path, whatever the kernel can do."""
    step, library = ours(T, M, B, K, N), rec._library

    def forced():
        rec._library = lambda x: None
        try:
            step()
        finally:
            rec._library = library

    return forced


def layer(kind, T, M, B, N, **options):
    net, s, grad = kind(N, M, batch_first=True, **options), torch.rand(B, T, N), torch.randn(B, T, M)

    def step():
        net.zero_grad()
        net(s)[0].backward(grad)

    return step


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


def fastest(steps, rounds):
    """The fastest of `rounds` runs of each, in turns, in ms."""
    best = dict.fromkeys(steps, float("inf"))
    for i in range(rounds + 1):  # the first round warms up
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if i:
                best[name] = min(best[name], 1e3 * (time.perf_counter() - start))
    return best


def flops(T, M, B, K, N):
    return 6.0 * K * T * B * M * (M + N)  # three products, each a multiplication and an addition


def record(group, name, sizes, ms, **more):
    T, M, B, K, N = sizes
    row = {"group": group, "name": name, "T": T, "M": M, "B": B, "K": K, "N": N, "ms": round(ms, 3)}
    ROWS.append(row | {k: round(v, 3) for k, v in more.items()} | machine())


@pytest.mark.parametrize("label", SIZES)
def test_peers(label, benchmark):
    T, M, B, K, N = sizes = SIZES[label]
    contestants = {
        "alrnn": ours(*sizes),
        "alrnn, last step": ours(*sizes, last=1),
        "nn.RNN(relu)": layer(nn.RNN, T, M, B, N, nonlinearity="relu"),
        "nn.GRU": layer(nn.GRU, T, M, B, N),
        "nn.LSTM": layer(nn.LSTM, T, M, B, N),
        "autograd loop": ours(*sizes, function=rec.reference),
        "torch path": on_torch(*sizes),
        "bare matrix products": products(*sizes),
    }
    best = fastest(contestants, rounds=7)
    print(f"\nT={T} M={M} B={B} K={K}, training step, {torch.get_num_threads()} threads, {rec.backend().name}")
    for name, ms in best.items():
        per_net = ms / (1 if name.startswith("nn.") else K)
        ratios = {other: per_net / (best[other] / K) for other in ("alrnn", "alrnn, last step")}
        record(
            "peers",
            name,
            sizes,
            ms,
            ms_per_net=per_net,
            times_alrnn=ratios["alrnn"],
            times_last=ratios["alrnn, last step"],
        )
        print(f"  {name:22}{ms:10.2f} ms {per_net:10.3f} ms a net = {ratios['alrnn']:7.2f} x ours,", end="")
        print(f" {ratios['alrnn, last step']:7.2f} x ours with last=1")
    benchmark.pedantic(contestants["alrnn"], rounds=5, warmup_rounds=1)


def peak(n=1024, rounds=10):
    """GFLOP/s of a large matrix product in float32: what this machine reaches with these threads at this moment."""
    a, b = torch.randn(n, n), torch.randn(n, n)
    return 2.0 * n**3 / fastest({"mm": lambda: a @ b}, rounds)["mm"] / 1e6


@pytest.mark.parametrize("size", GROWTH)
def test_growth(size, benchmark):
    print(f"\ngrowth with {size}, from {BASE}")
    for value in GROWTH[size]:
        chosen = BASE | {size: value}
        sizes = (chosen["T"], chosen["M"], chosen["B"], chosen["K"], 1)
        for last in (None, 1):
            ms = fastest({"ours": ours(*sizes, last=last)}, rounds=7)["ours"]
            rate, most = flops(*sizes) / ms / 1e6, peak(rounds=3)
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


def test_build(benchmark, tmp_path):
    """Seconds to compile the kernel."""
    compilers = kernel._compilers()
    if not compilers:
        pytest.skip("no C compiler")
    tmp_path.chmod(0o700)
    start = time.perf_counter()
    benchmark.pedantic(lambda: kernel._build(compilers[0], tmp_path), rounds=1)
    print(f"\nbuilt in {time.perf_counter() - start:.2f} s")
    record("build", "alrnn", (0, 0, 0, 0, 0), 1e3 * (time.perf_counter() - start))
