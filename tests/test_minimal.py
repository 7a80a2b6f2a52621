"""The stand-alone file is what it claims: short, alone, and equal to the library."""

import ast
from pathlib import Path

import pytest
import torch

from alrnn import ALRNN, fit, minimal, tasks, theory
from alrnn.nets import Output
from alrnn.tasks import Batch

FILE = Path(minimal.__file__)
README = Path(__file__).parents[1] / "README.md"


def test_it_is_short_and_stands_alone():
    lines = FILE.read_text("utf-8").splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= 84
    tree = ast.parse(FILE.read_text("utf-8"))
    assert not any(isinstance(x, ast.ImportFrom) and x.level for x in ast.walk(tree))
    names = {a.name.split(".")[0] for x in ast.walk(tree) if isinstance(x, ast.Import) for a in x.names}
    names |= {x.module.split(".")[0] for x in ast.walk(tree) if isinstance(x, ast.ImportFrom)}
    assert names == {"torch"}


def test_the_readme_shows_it():
    assert f"```python\n{FILE.read_text('utf-8')}```" in README.read_text("utf-8")


@pytest.mark.parametrize("P", [0, 1, 3, 6])
def test_it_computes_what_the_library_computes(P):
    """Outputs, states, the loss of adding and all gradients, in float64, from the same weights."""
    M, T = 6, 12
    small, net = minimal.AlmostLinearRNN(2, M, P, 1).double(), ALRNN(2, M, P, 1).double()
    small.lower = small.lower.double()
    generator = torch.Generator().manual_seed(P)
    with torch.no_grad():
        for name, w in small.named_parameters():
            w.copy_(0.4 * torch.randn(w.shape, generator=generator, dtype=torch.float64))
            net.get_parameter(name).copy_(w * net.pwl if name == "A" else w)
    task = tasks.Adding(T)
    batch = task.sample(7, torch.Generator().manual_seed(0)).to(torch.float64)
    (y, z), (y_net, z_net) = small(batch.s), net(batch.s)
    torch.testing.assert_close(y, y_net, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(z, z_net, rtol=1e-11, atol=1e-11)
    loss = (y[:, -1] - batch.target[:, 0]).square().mean()
    torch.testing.assert_close(loss, task.loss(Output(y_net), batch), rtol=1e-11, atol=1e-11)
    loss.backward()
    task.loss(Output(y_net), batch).backward()
    for name, w in small.named_parameters():
        torch.testing.assert_close(w.grad, net.get_parameter(name).grad, rtol=1e-9, atol=1e-10)


def test_its_task_is_the_librarys():
    s, target = minimal.adding(2000, 20, torch.Generator().manual_seed(0))
    marks = s[..., 1]
    assert (marks.sum(1) == 2).all() and not marks[:, 10:].any() and ((s[..., 0] >= 0) & (s[..., 0] < 1)).all()
    torch.testing.assert_close(target[:, 0], (s[..., 0] * marks).sum(1))
    assert (marks.mean(0)[:10] - 0.2).abs().max() < 0.05
    reference = tasks.Adding(20).sample(2000, torch.Generator().manual_seed(1)).target
    assert abs(target.mean() - reference.mean()) < 0.04 and abs(target.var() - reference.var()) < 0.02


def test_one_unit_leaves_the_linear_floor_and_none_does_not():
    floor = theory.adding_floor(10)
    assert minimal.train(0, T=10, steps=150) > 0.95 * floor
    assert minimal.train(1, T=10, steps=600) < 0.5 * floor


@pytest.mark.parametrize("P", [0, 1, 2])
def test_it_trains_as_the_library_trains(P):
    """The same start and the same sequences: Adam, clipping and the test error agree after 40 steps."""
    start, data = minimal.AlmostLinearRNN(2, 5, P, 1, seed=3), torch.Generator().manual_seed(1003)

    class SameSequences(tasks.Adding):
        def sample(self, n, generator):
            s, target = minimal.adding(n, self.length, data)
            return Batch(s, target[:, None], torch.ones(n, 1))

    net = ALRNN(2, 5, P, 1)
    with torch.no_grad():
        for name, w in start.named_parameters():
            net.get_parameter(name).copy_(w)
    constant = {"lr": 1e-2, "schedule": "constant", "warmup": 0.0, "clip": 0.1}
    history = fit(net, SameSequences(10), steps=40, batch_size=64, progress=False, **constant)
    assert history.loss[-5:].mean() < 0.8 * history.loss[0]  # something was learned
    s, target = minimal.adding(10_000, 10, torch.Generator().manual_seed(9))
    error = (net(s)[0][:, -1] - target).square().mean().item()
    assert minimal.train(P, T=10, steps=40, seed=3) == pytest.approx(error, rel=1e-3)
