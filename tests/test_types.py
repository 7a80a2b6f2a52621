"""A type checker finds a user's mistakes: the wheel carries types, and they are not so wide that nothing is wrong."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RIGHT = """
import torch

import alrnn
from alrnn import plots, regions, statistics, theory

task = alrnn.tasks.Adding(length=30)
nets = [alrnn.ALRNN(2, 10, P, 1, seed=0, init="slow") for P in (0, 1)]
history = alrnn.fit(nets, task, steps=10, lr=1e-2, schedule="constant", progress=False)
score: float = float(alrnn.evaluate(nets, task, task.held_out("test"))[0])
sweep = alrnn.sweep(task, hidden_size=20, nonlinear_sizes=[0, 1], seeds=5, init=alrnn.Init("slow"), steps=10, lr=[1e-2])
y, z = sweep.net(P=1, seed=0)(task.held_out("test").s)
seen = regions.visits(nets[1], z)
figure = plots.region_graph(seen, most=3)
found = statistics.minimal_P(sweep.table, 0.01, "lower", target=0.1).seeds + 1
weights: torch.Tensor = nets[0].W
limit: float = theory.adding_floor(30)
"""
WRONG = {  # a line that follows those above -> the code of the error, and a word of what is said
    "alrnn.fitt(nets, task)": ("attr-defined", "fitt"),
    "alrnn.fit(nets, task, learning_rate=1e-2)": ("call-arg", "learning_rate"),
    "alrnn.fit(nets, task, schedule='linear')": ("arg-type", "schedule"),
    "alrnn.fit(nets, alrnn.tasks.Adding)": ("arg-type", "Adding"),
    "alrnn.sweep(task, 20, [0, 1], epochs=3)": ("call-arg", "epochs"),
    "alrnn.sweep(task, 20, [0, 1], batch_size='64')": ("arg-type", "batch_size"),
    "alrnn.ALRNN(2, 10, '1', 1)": ("arg-type", "ALRNN"),
    "alrnn.Init('slwo')": ("arg-type", "Init"),
    "history.losses": ("attr-defined", "losses"),
    "sweep.tabel": ("attr-defined", "tabel"),
    "alrnn.evaluate(nets, task, split='test')": ("call-arg", "split"),
    "task.held_out('train')": ("arg-type", "held_out"),
    "alrnn.tasks.Adding(lenght=3)": ("call-arg", "lenght"),
    "seen.code": ("attr-defined", "code"),
    "plots.region_graf(seen)": ("attr-defined", "region_graf"),
    "plots.region_graph(seen, mots=3)": ("call-arg", "mots"),
    "alrnn.datasets.mnits()": ("attr-defined", "mnits"),
    "statistics.minimal_P(sweep.table, 0.01, 'smaller')": ("arg-type", "minimal_P"),
    "theory.adding_flor(30)": ("attr-defined", "adding_flor"),
    "alrnn.regions.fixedpoints(nets[0])": ("attr-defined", "fixedpoints"),
}


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What mypy says of each line of a program that holds all of these, run as where alrnn is installed."""
    path = tmp_path_factory.mktemp("user") / "program.py"
    program = RIGHT.splitlines() + list(WRONG)
    path.write_text("\n".join(program))
    # The settings and the cache of `make lint`, where torch has been read; from a folder that does not hold alrnn.
    command = [sys.executable, "-m", "mypy", f"--config-file={ROOT / 'pyproject.toml'}"]
    command += [f"--cache-dir={ROOT / '.mypy_cache'}", path.name]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True)
    assert done.returncode == 1 and "import-untyped" not in done.stdout, done.stdout + done.stderr
    found: dict[str, list[str]] = {line: [] for line in program}
    for number, message in re.findall(r"program\.py:(\d+): error: (.*)", done.stdout):
        found[program[int(number) - 1]].append(message)
    return found


def test_right_use_passes(errors: dict[str, list[str]]) -> None:
    assert {line: errors[line] for line in RIGHT.splitlines() if errors[line]} == {}


@pytest.mark.parametrize("line", WRONG)
def test_a_mistake_is_found(line: str, errors: dict[str, list[str]]) -> None:
    code, word = WRONG[line]
    assert any(message.endswith(f"[{code}]") and word in message for message in errors[line]), errors[line]
