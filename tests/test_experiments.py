"""Full-size sweeps from the command line: one row a net, killed and resumed, kept apart by settings; the baselines."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pytest
import torch

import alrnn
from alrnn import Init
from alrnn.__main__ import main
from alrnn.experiments import EXPERIMENTS, SEEDS, Experiment, image_angles, read, run
from alrnn.experiments.catalogue import MODELS
from alrnn.experiments.table import keys, texts
from alrnn.experiments.workers import Processes
from alrnn.nets.torch_nets import parameters
from alrnn.sweep import describe
from alrnn.tasks import Adding, FixedCopy
from alrnn.tasks.base import TRAINING

ROOT = Path(__file__).resolve().parent.parent
GROWING = ("budget-", "paper-", "multitask", "scan", "low-data")  # their tables, shared by several, are made in parts
TABLES = [name for name in EXPERIMENTS if not name.startswith(GROWING)]  # each has a table of its own, which is whole
FIT = {"steps": 3, "batch_size": 4, "lr": 0.01}
NETS = Experiment(Adding(10), 5, [0, 2, 5], Init("slow", pwl=1.0), fit=FIT)
PLAIN = Experiment(Adding(10), 5, [5], Init("slow"), fit=FIT)
OTHERS = Experiment(FixedCopy(2, 3), 6, models=["rnn", "lstm"], fit=FIT)
SMALL = [NETS, PLAIN, OTHERS]
SETTINGS = {"seeds": 3, "baseline_seeds": 1, "batch": 3}  # 3 jobs, 1 job (three seeds at once), 2 jobs; 14 nets
JOBS, TOTAL = 6, 14


def whole(table):
    """What identifies each net, and that none stands twice."""
    settings = table.drop(columns=["train_loss", "seconds", *(c for c in table if c.startswith(("valid", "test")))])
    assert not settings.duplicated().any()
    return table


def same(one, other):
    """The same nets with the same results; to rounding, as workers may use another number of threads."""
    tables = []
    for table in (one, other):
        table = whole(table).drop(columns="seconds").sort_values(["model", "init_pwl", "P", "seed"])
        measured = ["train_loss", *(c for c in table if c.startswith(("valid", "test")))]
        tables.append(
            table.reset_index(drop=True).assign(**table[measured].apply(pd.to_numeric).reset_index(drop=True))
        )
    pd.testing.assert_frame_equal(*tables, rtol=1e-4, atol=1e-3, check_like=True)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    path = tmp_path_factory.mktemp("complete") / "new" / "table.csv"  # the folder is made
    return run(SMALL, path, **SETTINGS)


def test_one_tidy_row_a_net(complete):
    assert len(whole(complete)) == TOTAL
    sweep = alrnn.sweep(NETS.task, 5, [0, 2, 5], [2], NETS.init, progress=False, **FIT).table
    mine = complete[(complete.model == "alrnn") & (complete.init_pwl == "1.0") & (complete.seed == "2")]
    for name in ("task", "task_length", "task_marks", "M", "P", "init_units", "init_C", "lr", "regularised", "version"):
        assert mine[name].tolist() == sweep[name].astype(str).tolist(), name
    for name in ("train_loss", "validation", "test"):
        assert mine[name].astype(float).tolist() == pytest.approx(sweep[name].tolist(), rel=1e-5), name
    assert (complete.seconds.astype(float) > 0).all() and (complete.diverged == "").all()
    other = complete[complete.model != "alrnn"]
    assert (other[["P", "init", "init_W", "tau", "task_length"]] == "").all(axis=None)
    assert other.task_delay.tolist() == ["3", "3"] and (other.test_sequence != "").all()
    assert (complete[complete.model == "alrnn"].test_sequence == "").all()


def test_a_full_table_is_left_alone(tmp_path, complete, monkeypatch):
    path = tmp_path / "table.csv"
    run(SMALL, path, **SETTINGS)
    before = path.read_bytes()
    monkeypatch.setattr(Experiment, "train", lambda *_: pytest.fail("a finished net was trained again"))
    pd.testing.assert_frame_equal(run(SMALL, path, **SETTINGS), read(path))
    assert path.read_bytes() == before


KILLED = """
import os, signal, sys
from alrnn import experiments
from tests.test_experiments import SETTINGS, SMALL

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def at(number, before, function):
    calls = iter(range(1, 100))
    return lambda *a: (before(*a) if next(calls) == number else None, function(*a))[1]

point, number, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
train, fsync, replace = experiments.Experiment.train, os.fsync, os.replace
if point == "training":
    experiments.Experiment.train = at(number, die, train)
elif point == "half a write":
    os.fsync = at(number, lambda descriptor: (os.ftruncate(descriptor, 700), die()), fsync)
elif point == "written, not renamed":
    os.replace = at(number, die, replace)
elif point == "renamed":
    os.replace = at(number, lambda *a: (replace(*a), die()), replace)
experiments.run(SMALL, path, **SETTINGS)
"""


def test_killed_at_any_point_and_started_again(tmp_path, complete):
    """Each start goes on with the table the last one left, is killed elsewhere, and in the end nothing is missing."""
    path = tmp_path / "table.csv"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    rows = 0
    for point, number, gained in [
        ("training", 1, 0),
        ("half a write", 1, 0),
        ("half a write", 2, 3),  # the first job's three nets are safe, the second's are done again
        ("written, not renamed", 2, 3),
        ("renamed", 1, 3),
        ("training", 2, 3),
    ]:
        done = subprocess.run([sys.executable, "-c", KILLED, point, str(number), path], cwd=ROOT, env=env)
        assert done.returncode == -signal.SIGKILL, point
        rows += gained
        assert len(read(path)) == rows, point
        if rows:
            assert path.read_bytes().endswith(b"\n") and len(whole(read(path))) == rows
    trained = []
    train = Experiment.train
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Experiment, "train", lambda *a: (trained.append(len(a[1]) * len(a[2])), train(*a))[1])
        final = run(SMALL, path, **SETTINGS)
    assert sum(trained) == TOTAL - rows
    same(final, complete)
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_the_command_killed_from_outside_with_workers(tmp_path):
    path = tmp_path / "table.csv"
    command = [sys.executable, "-m", "alrnn", "sweep", "context", "--out", str(path), "--steps", "1", "--P", "0", "10"]
    command += ["--seeds", "2", "--baseline-seeds", "0", "--batch", "1"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, "--jobs", "2"], env=env, start_new_session=True, **quiet)
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its workers, which would wait for more work for minutes
    first = whole(read(path))
    assert len(first) >= 2
    command += ["--jobs", "3"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    last = whole(read(path))
    # P = 0 and 10 for rule inversion at M = 10 and 20 and for two modalities, and P = M = 10 from the plain start
    assert len(last) == 2 * (3 * 2 + 1) and f"{len(last)} nets" in done.stdout and "net/s" in done.stderr
    pd.testing.assert_frame_equal(last.head(len(first))[first.columns.tolist()], first)


def test_a_last_line_without_its_end_is_kept(tmp_path, complete):
    path = tmp_path / "table.csv"
    run([NETS], path, seeds=2, batch=3)
    before = path.read_bytes()
    path.write_bytes(before.rstrip())  # as an editor may leave it
    assert len(read(path)) == 6
    run([NETS], path, seeds=2, batch=3)
    assert path.read_bytes().rstrip() == before.rstrip()


@pytest.mark.parametrize("rest", [b"alrnn,adding,10,first_half,0,5,2,4", b"alrnn,adding,10"], ids=str)
def test_a_row_that_was_cut_off_is_trained_again(tmp_path, complete, rest):
    path = tmp_path / "table.csv"
    run([NETS], path, seeds=2, batch=3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + rest)
    assert len(read(path)) == 5
    assert len(whole(run([NETS], path, seeds=2, batch=3))) == 6 and path.read_bytes().count(b"\n") == 7


@pytest.mark.parametrize("text", ["a line of notes", "a line of notes\n", "a,b\n1,2\n", 'model,"task'])
def test_another_file_is_refused_and_left_alone(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(ValueError):
        run([NETS], path, seeds=1)
    assert path.read_text() == text and len(list(tmp_path.iterdir())) == 1


def test_rows_that_another_process_adds_meanwhile_stay(tmp_path, monkeypatch):
    path, train = tmp_path / "table.csv", Experiment.train

    def slow(self, kinds, seeds):
        if not path.exists():
            monkeypatch.setattr(Experiment, "train", train)
            run([replace(NETS, M=6)], path, seeds=1)
        return train(self, kinds, seeds)

    monkeypatch.setattr(Experiment, "train", slow)
    table = whole(run([NETS], path, seeds=1))
    assert sorted(table.M) == [*"555", *"666"]


@pytest.mark.parametrize("wrong", [{"seeds": -1}, {"baseline_seeds": 0.5}, {"batch": 0}, {"jobs": 0}])
def test_numbers_out_of_range(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        run([NETS], tmp_path / "table.csv", **wrong)


@pytest.mark.parametrize("wrong", [{"clip": -1.0}, {"schedule": "foo"}, {"steps": 0}])
def test_baselines_check_their_settings(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(NETS, sizes=(), models=("rnn",), fit=FIT | wrong).train(("rnn",), [0])


def test_an_unknown_setting():
    with pytest.raises(TypeError, match="foo"):
        replace(NETS, fit=FIT | {"foo": 3}).settings(2, 0)


@pytest.mark.parametrize(
    "other",
    [
        replace(NETS, fit=FIT | {"steps": 4}),
        replace(NETS, fit=FIT | {"tau": 0.1}),
        replace(NETS, init=Init("slow", pwl=1.0, C=0.3)),
        replace(NETS, task=Adding(10, blank=1)),
        replace(NETS, M=6),
    ],
    ids=["steps", "tau", "init", "task", "M"],
)
def test_other_settings_are_kept_apart(tmp_path, other):
    path = tmp_path / "table.csv"
    first = run([NETS], path, seeds=1)
    both = run([other], path, seeds=1)
    assert len(whole(both)) == len(first) + 3
    pd.testing.assert_frame_equal(both.head(3), first)
    assert run([NETS, other], path, seeds=1).equals(both)


def test_nets_from_before_there_was_a_setting_count_as_its_default(tmp_path):
    path = tmp_path / "table.csv"
    old = run([NETS], path, seeds=1).drop(columns="init_angles")
    old.to_csv(path, index=False)
    angles = replace(NETS, init=replace(NETS.init, kind="rotation", angles=(0.1, 0.2)))
    table = run([NETS, angles], path, seeds=1)
    pd.testing.assert_frame_equal(table.head(3)[old.columns.tolist()], old)
    assert table.init_angles.tolist() == [""] * 3 + ["(0.1, 0.2)"] * 3


def test_more_seeds_and_sizes_only_add(tmp_path):
    path = tmp_path / "table.csv"
    run([NETS.with_sizes([2, 9])], path, seeds=1)
    assert read(path).P.tolist() == ["2"]  # P = 9 is above M
    second = run([NETS], path, seeds=3, batch=100)
    assert sorted(zip(second.P, second.seed, strict=True)) == [(P, s) for P in "025" for s in "012"]


def executors():
    yield "processes", {"jobs": 2}
    yield "one process", {"executor": Processes(1)}
    yield "threads", {"executor": ThreadPoolExecutor(2)}
    yield "the standard library's processes", {"executor": ProcessPoolExecutor(2, get_context("spawn"))}


def test_any_executor_gives_the_same_table(tmp_path, complete):
    for name, where in executors():
        with where.get("executor") or contextlib.nullcontext():
            same(run(SMALL, tmp_path / f"{name}.csv", **SETTINGS, **where), complete)
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv"}


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="jobs must be an integer of at least 1, got 0"):
        run([NETS], tmp_path / "new.csv", jobs=0)
    with pytest.raises(ValueError, match="nothing to train"):
        run([NETS], tmp_path / "new.csv", seeds=0, baseline_seeds=0)
    with pytest.raises(ValueError, match="is no table of sweeps: it has no column model, seed, task, test"):
        run([NETS], path, seeds=1)
    assert path.read_text() == "a,b\n1,2\n"


def test_a_diverging_net_is_told_and_stops_nothing(tmp_path):
    wild = replace(NETS, init=Init("slow", value=1e9), sizes=[0])
    gru = replace(OTHERS, fit=FIT | {"lr": 1e30, "steps": 40, "warmup": 0.0})
    table = run([wild, gru], tmp_path / "table.csv", seeds=2, baseline_seeds=1)
    assert table.diverged.tolist()[:2] == ["0", "0"] and len(table) == 4
    assert table[table.model == "rnn"].diverged.astype(int).item() >= 1


# The experiments and the command line


@pytest.mark.parametrize("name", TABLES)
def test_the_experiments_are_fair_and_complete(name):
    chosen = list(EXPERIMENTS[name]())
    assert all(0 <= P <= e.M for e in chosen for P in e.sizes)
    for task in {id(e.task): e for e in chosen}.values():
        same = [e for e in chosen if type(e.task) is type(task.task) and e.task.settings() == task.task.settings()]
        assert any(list(e.models) == list(MODELS) for e in same)
        for M in {e.M for e in same} - {1}:  # M = 1 is a bag of words
            full = {e.init.pwl for e in same if e.M == M and M in e.sizes}
            assert min(full) == 0 and 0.9 <= max(full) <= 1, "P = M needs a start with memory and the plain start"
            assert any(0 in e.sizes and 1 in e.sizes for e in same if e.M == M)
    rows = pd.DataFrame([e.settings(kind, 0) for e in chosen for kind in (*e.sizes, *e.models)])
    assert not rows.duplicated().any()


@pytest.mark.parametrize("name", TABLES)
def test_the_stored_tables_hold_the_experiments_and_nothing_else(tmp_path, monkeypatch, name):
    """What was trained by earlier versions counts as done, AL-RNNs and baselines alike: it is not trained again."""
    stored, path = ROOT / "data" / "results" / f"{name}.csv", tmp_path / "table.csv"
    path.write_bytes(stored.read_bytes())
    monkeypatch.setattr(Experiment, "train", lambda _, kinds, seeds: pytest.fail(f"{kinds}, {seeds} trained again"))
    chosen, seeds = list(EXPERIMENTS[name]()), SEEDS.get(name, 10)
    table = run(chosen, path, seeds=seeds, baseline_seeds=3)
    assert path.read_bytes() == stored.read_bytes()
    assert len(whole(table)) == sum(len(e.sizes) * seeds + len(e.models) * 3 for e in chosen)


def test_the_table_of_budgets_holds_nets_of_the_catalogue_and_what_the_book_reads_is_complete():
    """It grows in parts, so not all of them; but each P at each of its rates and budgets, with five seeds."""
    table = read(ROOT / "data" / "results" / "budget.csv")
    budgets = [e for name in EXPERIMENTS if name.startswith("budget-") for e in EXPERIMENTS[name]()]
    rows = [e.settings(P, seed) for e in budgets for P in e.sizes for seed in range(10)]
    known, found = set(keys(texts(pd.DataFrame(rows, dtype=object)))), list(keys(table))
    assert len(set(found)) == len(found) and set(found) <= known
    for name, rates, steps in (("budget-context", 3, (2500, 10000)), ("budget-copy", 2, (1200, 4800))):
        some = [e for e in EXPERIMENTS[name]() if e.fit["steps"] in steps]
        assert len({e.fit["lr"] for e in some}) == 3
        slow = [e for e in some if e.fit["lr"] in sorted({e.fit["lr"] for e in some})[:rates]]
        wanted = [e.settings(P, seed) for e in slow for P in e.sizes for seed in range(5)]
        assert set(keys(texts(pd.DataFrame(wanted, dtype=object)))) <= set(found)


@pytest.mark.parametrize("table", ["paper", "multitask", "scan", "language", "rates", "low-data"])
def test_tables_that_grow_hold_nets_of_the_catalogue_alone(table):
    """At the catalogue's P and rates; in the table of rates also at other powers of four times these, with P = 5."""
    times = [1 / 64, 1 / 16, 1 / 4, 1, 4] if table == "rates" else [1]
    names = (
        TABLES if table == "rates" else [name for name in EXPERIMENTS if name.removeprefix("budget-").startswith(table)]
    )
    chosen = list(alrnn.experiments.variants((e for name in names for e in EXPERIMENTS[name]()), rates=times))
    chosen += [e.with_sizes([5]) for e in chosen if e.M > 5] if table == "rates" else []
    seeds = 3 if table == "low-data" else 10
    rows = [e.settings(kind, seed) for e in chosen for kind in (*e.sizes, *e.models) for seed in range(seeds)]
    found = list(keys(read(ROOT / "data" / "results" / f"{table}.csv")))
    assert found and len(set(found)) == len(found)
    assert set(found) <= set(keys(texts(pd.DataFrame(rows, dtype=object))))


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name.startswith("paper-")])
def test_the_authors_recipe(name):
    """Brenner & Koppe (2026): Adam at 1e-3, the regulariser on half of the units, fixed trials, no clipping."""
    for e in (e for e in EXPERIMENTS[name]() if e.sizes):
        row = e.settings(e.sizes[-1], 0)
        assert (row["lr"], row["schedule"], row["tau"], row["clip"]) == (1e-3, "constant", 0.1, math.inf)
        assert row["regularised"] == e.M // 2 and row["task_trials"] == e.task.trials >= 1000
        assert (
            row["start_noise"] == pytest.approx(row["batch_size"] ** -0.5, rel=1e-3) and 0 in e.sizes and e.M in e.sizes
        )


def test_a_baselines_row_has_the_columns_of_a_sweep_but_for_what_it_has_not():
    mine, other = NETS.settings(2, 1), replace(NETS, sizes=(), models=("gru",)).settings("gru", 1)
    absent = {"P", "init", "tau", "regularised", *(name for name in mine if name.startswith("init_"))}
    assert list(other) == [name for name in mine if name not in absent]
    assert {k: v for k, v in other.items() if k not in ("model", "M", "parameters")} == {
        k: mine[k] for k in other if k not in ("model", "M", "parameters")
    }
    assert list(mine)[:8] == ["model", "task", "task_length", "task_marks", "task_blank", "M", "P", "parameters"]
    task_and_net = ["model", "task", "task_length", "task_marks", "task_blank", "M", "parameters", "seed"]
    assert list(other) == [*task_and_net, "steps", "batch_size", "lr", "warmup", "schedule", "clip"]


@pytest.mark.parametrize("size", [8, 14])
def test_each_pair_of_units_is_tuned_to_its_wave(size):
    """Of the pairs that turn by these angles, an image of one plane wave drives that of its own angle furthest."""
    angles = image_angles(size, 12)
    net = alrnn.ALRNN(1, 24, 0, 1, init=Init("rotation", angles=angles, W=0.0))
    net.C.data[:] = torch.tensor([1.0, 0.0]).repeat(12)[:, None]
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    slow = [(0, 0), (0, 1), (1, 0), (1, -1), (1, 1), (0, 2), (2, 0)]
    assert angles[0] == 0 and set(angles[1:3]) == {2 * math.pi / size, 2 * math.pi / size**2}
    for j, k in slow:
        wave = torch.cos(2 * math.pi * (j * column + k * row) / size)
        reached = net(wave.reshape(1, -1, 1))[1][0, -1].detach().view(12, 2).norm(dim=1)
        assert angles[reached.argmax()] == pytest.approx(2 * math.pi * (j * size + k) / size**2), (j, k)


def test_seeds_by_default(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(alrnn.experiments, "run", lambda *arguments: asked.append(arguments[2:4]) or [])
    for name, *more in (["adding"], ["smnist"], ["smnist", "--seeds", "5", "--baseline-seeds", "0"]):
        main(["sweep", name, "--out", "none.csv", *more])
    assert asked == [(10, 3), (3, 3), (5, 0)]


def test_sizes_on_request():
    assert NETS.with_sizes([1, 5, 7]).sizes == [1, 5] and PLAIN.with_sizes([1, 5, 7]).sizes == [5]
    assert PLAIN.with_sizes([1]).sizes == [] and OTHERS.with_sizes([1]).sizes == []


def test_data_are_listed_and_fetched(capsys):
    main(["data"])
    out = capsys.readouterr().out
    assert all(name in out for name in alrnn.datasets.REGISTRY) and "CC BY-SA" in out
    main(["data", "digits"])
    assert Path(capsys.readouterr().out.strip()).name == "digits.npz"
    for wrong in (["data", "nothing"], ["sweep", "nothing", "--out", "x"], ["sweep", "adding"], []):
        with pytest.raises(SystemExit) as caught:
            main(wrong)
        assert caught.value.code == 2
    capsys.readouterr()


def test_errors_are_one_line(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit, match="alrnn sweep: .*table.csv is no table of sweeps"):
        main(["sweep", "adding", "--out", str(path), "--seeds", "1"])
    with pytest.raises(SystemExit, match="alrnn sweep: steps must be an integer of at least 1, got 0"):
        main(["sweep", "adding", "--out", str(tmp_path / "new.csv"), "--seeds", "1", "--P", "1", "--steps", "0"])


def test_a_place_that_cannot_be_written_is_told_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(Experiment, "train", lambda *_: pytest.fail("trained for nothing"))
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "table.csv", tmp_path):  # in what is no folder; a folder itself
        with pytest.raises(SystemExit, match=r"alrnn sweep: \[Errno \d+\]"):
            main(["sweep", "adding", "--out", str(out), "--seeds", "1"])
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as for a read-only folder, which root may write to
    with pytest.raises(SystemExit, match="alrnn sweep: .* cannot be written to"):
        main(["sweep", "adding", "--out", str(tmp_path / "table.csv"), "--seeds", "1"])


def test_training_leaves_the_process_as_it_was():
    NETS.train([0], [0])
    assert torch.tensor(1e-30) * torch.tensor(1e-10) > 0, "denormals must still work outside the kernel"


# Baselines


@pytest.mark.parametrize("model", MODELS)
def test_parameters_are_counted(model):
    for sizes in [(1, 1, 1), (5, 7, 3), (2, 50, 1)]:
        built = MODELS[model](*sizes)
        assert parameters(MODELS[model], *sizes) == sum(p.numel() for p in built.parameters())


def test_equal_parameters_at_the_full_sizes():
    """Within 4% wherever sizes are fine enough for it (M = 50), and never nearer with another size."""
    for e in (e for make in EXPERIMENTS.values() for e in make() if e.models):
        count = sum(p.numel() for p in replace(e, models=()).net(e.M, 0).parameters())
        for model in e.models:
            row = e.settings(model, 0)
            built = MODELS[model](e.task.input_size, row["M"], e.task.output_size, inputs=e.task.inputs)
            mine = sum(p.numel() for p in built.parameters())
            assert mine == row["parameters"]
            assert e.M < 50 or abs(mine / count - 1) < 0.04, (model, e.task.name)
            if model == "rnn" and e.task.inputs == "numbers":
                assert mine == count and row["M"] == e.M
            for size in (row["M"] - 1, row["M"] + 1):
                sizes = (e.task.input_size, max(1, size), e.task.output_size)
                near = parameters(MODELS[model], *sizes, e.task.inputs)
                assert abs(near - count) >= abs(mine - count)


def test_a_sweeps_parameters_are_those_that_can_learn():
    net = alrnn.ALRNN(2, 6, 2, 1)
    row = describe(net, Adding(10))
    assert row["parameters"] == sum(p.numel() for p in net.parameters()) - (6 - 2)  # A is zero on linear units


@pytest.mark.parametrize("model", MODELS)
def test_starts(model):
    random = torch.get_rng_state()
    first, again, other = (MODELS[model](2, 5, 1, seed) for seed in (3, 3, 4))
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.readout.weight, other.readout.weight)
    bias = first.cells.bias_ih_l0 + first.cells.bias_hh_l0
    if model == "rnn":
        assert torch.equal(first.cells.weight_hh_l0, torch.eye(5)) and not bias.any()
        s = torch.rand(3, 1, 2).expand(3, 4, 2)  # at the identity without a bias a ReLU adds up what is positive
        h, step = first.cells(s)[0], torch.relu(s[:, 0] @ first.cells.weight_ih_l0.T)
        torch.testing.assert_close(h[:, -1], 4 * step)
    if model == "lstm":
        assert bias.tolist() == [0] * 5 + [1] * 5 + [0] * 10


def test_an_unknown_model():
    with pytest.raises(ValueError, match="model must be one of rnn, gru, lstm, got 'elman'"):
        OTHERS.settings("elman", 0)


@pytest.mark.parametrize("task", [Adding(10, "halves", blank=1), FixedCopy(2, 3)], ids=lambda task: task.name)
def test_a_baseline_trains_on_the_stream_of_its_seed_as_a_plain_loop(task):
    seen = []

    class Spy(type(task)):
        def sample(self, n, generator):
            seen.append(generator.initial_seed())
            return super().sample(n, generator)

    spy = Spy(**task.settings())
    fit = {"steps": 6, "batch_size": 4, "lr": 0.02, "warmup": 0.0, "clip": 0.1}
    row = Experiment(spy, 5, models=["gru"], fit=fit).train(["gru"], [7])
    assert [seed for seed in seen if seed >= TRAINING].count(TRAINING + 7) >= 6 and max(seen) == TRAINING + 7
    net = MODELS["gru"](task.input_size, int(row.M[0]), task.output_size, 7)

    def answer(s):
        return net.readout(net.cells(s)[0])

    adam, generator = torch.optim.Adam(net.parameters()), torch.Generator().manual_seed(TRAINING + 7)
    for step in range(6):
        batch = task.sample(4, generator)
        loss = task.loss(answer(batch.s), batch)
        adam.zero_grad()
        loss.backward()
        norm = math.sqrt(sum(p.grad.square().sum().item() for p in net.parameters()))
        for p in net.parameters():
            p.grad *= min(1, 0.1 / norm)
        adam.param_groups[0]["lr"] = 0.02 if step == 0 else 0.01 * (1 + math.cos(math.pi * (step - 1) / 5))
        adam.step()
    test = task.held_out("test")
    with torch.no_grad():
        y = answer(test.s)
    assert row.train_loss[0] == pytest.approx(loss.item(), rel=1e-4)
    assert row.test[0] == pytest.approx(task.score(y, test).item(), rel=1e-3)
    if task.name == "fixed_copy":
        assert row.test_sequence[0] == pytest.approx(task.score_sequence(y, test).item(), abs=2e-3)
