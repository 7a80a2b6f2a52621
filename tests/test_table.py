"""Tables of full-size runs: known by values, filled by several processes, killed, on full disks; lost jobs; merging."""

import errno
import itertools
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_experiments import NETS, SETTINGS, SMALL, TOTAL, same, whole

from alrnn import experiments
from alrnn.__main__ import main, shard
from alrnn.experiments import EXPERIMENTS, Experiment, IncompleteError, merge, read, run, variants
from alrnn.experiments.run import _jobs, _known
from alrnn.experiments.table import Seconds, Shared, key, keys

ROOT = Path(__file__).resolve().parent.parent
ENV = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    path = tmp_path_factory.mktemp("complete") / "table.csv"
    run(SMALL, path, **SETTINGS)
    return path


# What a row is known by


@given(st.one_of(st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False)))
def test_a_number_is_known_by_its_value(x):
    ways = {repr(x), repr(float(x)), f"{float(x):.17g}", f"{float(x):.17e}", f" {x!r}".strip()}
    assert len({key({"lr": way, "task": "adding"}) for way in ways}) == 1
    nearby = {repr(float(x)), repr(float(x) + max(1e-300, 1e-15 * abs(x)))}
    assert len({key({"lr": way}) for way in nearby}) == len(nearby)


def test_what_is_no_number_is_known_by_its_text():
    texts = ["True", "1", "'1'", "[1]", "None", "slow", "1+1", "{1}", "(1, 'a')", "(1, 2)", "007", "1_0", "- 1"]
    assert len({key({"x": text}) for text in texts}) == len(texts)
    assert key({"x": "(1, 2)"}) == key({"x": "(1.0, 2e0)"}) == key({"x": "(1,2)", "y": "", "seconds": "3", "test": "1"})


def test_the_order_of_columns_and_the_way_of_writing_do_not_matter(tmp_path, complete, monkeypatch):
    table = read(complete)
    backwards = table[table.columns[::-1]]
    backwards = backwards.assign(lr="1e-2", M=backwards.M + ".0")
    backwards["init_time_constants"] = backwards.init_time_constants.replace("(2.0, 60.0)", "(2,60)")
    assert "(2,60)" in set(backwards.init_time_constants)
    backwards.to_csv(path := tmp_path / "table.csv", index=False)
    before = path.read_bytes()
    monkeypatch.setattr(Experiment, "train", lambda *_: pytest.fail("a finished net was trained again"))
    run(SMALL, path, **SETTINGS)
    assert path.read_bytes() == before
    monkeypatch.undo()
    assert len(run([replace(NETS, fit=NETS.fit | {"lr": 0.01 + 1e-15})], path, seeds=1)) == TOTAL + 3


@pytest.mark.parametrize("shared", [0, 5])
def test_tables_one_behind_the_other_are_one(tmp_path, complete, shared):
    table, (one, two) = read(complete), (tmp_path / "one.csv", tmp_path / "two.csv")
    table.iloc[:8].to_csv(one, index=False)
    table.iloc[8 - shared :][table.columns[::-1]].to_csv(two, index=False)
    both = tmp_path / "both.csv"
    both.write_bytes(one.read_bytes() + two.read_bytes())  # cat one two > both
    same(read(both), table)
    run(SMALL, both, **SETTINGS)
    same(read(both), table)
    both.write_bytes(one.read_bytes().rstrip() + two.read_bytes())  # the last line of the first had no end
    with pytest.raises(ValueError, match=r"both.csv is no table of sweeps: line 9 has \d+ entries, for \d+ columns"):
        run(SMALL, both, **SETTINGS)


def test_merged_tables_lose_nothing(tmp_path, complete, capsys):
    table, parts = read(complete), [tmp_path / f"{i}.csv" for i in range(3)]
    for i, part in enumerate(parts):
        table.iloc[4 * i : 4 * i + 8].to_csv(part, index=False)
    out = tmp_path / "all.csv"
    main(["merge", str(out), *map(str, parts)])
    assert capsys.readouterr().out == f"{out}: {TOTAL} nets\n"
    same(read(out), table)
    main(["merge", str(parts[0]), str(parts[2])])  # into one of them
    assert len(whole(read(parts[0]))) == TOTAL
    with pytest.raises(SystemExit, match="alrnn merge: .*nowhere.csv"):
        main(["merge", str(out), str(tmp_path / "nowhere.csv")])
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit, match="alrnn merge: .*notes.csv is no table of sweeps"):
        main(["merge", str(out), str(tmp_path / "notes.csv")])
    same(read(out), table)


def test_a_link_stays_a_link_and_a_file_keeps_its_mode(tmp_path):
    real, link = tmp_path / "elsewhere" / "real.csv", tmp_path / "link.csv"
    real.parent.mkdir()
    run([NETS], real, seeds=1)
    real.chmod(0o664)
    link.symlink_to(real)
    before = os.umask(0o077)
    try:
        table = run([NETS], link, seeds=2)
    finally:
        os.umask(before)
    assert link.is_symlink() and len(table) == len(read(real)) == 6 and real.stat().st_mode & 0o777 == 0o664
    assert {p.name for p in tmp_path.rglob("*")} == {"elsewhere", "real.csv", "link.csv"}


def test_what_is_left_is_told_from_earlier_rows(tmp_path, capsys):
    """20 hours a net of 5 units, 10 of 6 units; two of four and one of two are left; then two processes."""
    path = tmp_path / "table.csv"
    run([NETS.with_sizes([0, 2]), replace(NETS, M=6, sizes=[0])], path, seeds=1)
    table = read(path)
    table["seconds"] = table.M.map({"5": "72000", "6": "36000"})
    table.to_csv(path, index=False)
    capsys.readouterr()
    known = Seconds(table)
    wanted = _known([NETS.with_sizes([0, 2]), replace(NETS, M=6, sizes=[0]), replace(NETS, M=5, sizes=[1])], 2, 0)
    left = set(wanted.values()) - set(keys(table))
    assert known.of(left) == 2 * 72000 + 36000 + 2 * 72000 and Seconds(table.iloc[:0]).of(left) == 0
    assert known.of(_known([replace(NETS, M=9, sizes=[1])], 1, 0).values()) == 54000
    run([NETS.with_sizes([0, 2]), replace(NETS, M=6, sizes=[0])], path, seeds=2, batch=1)
    assert "50:00:00 left" in capsys.readouterr().err


# Settings as lists, shards


def test_variants_are_all_combinations(tmp_path):
    chosen = list(variants([NETS], M=[5, 4], init=["slow", "paper"], lr=[0.1, 0.2], steps=[2]))
    assert len(chosen) == 8 and {(e.M, e.init.kind, e.fit["lr"], e.fit["steps"]) for e in chosen} == set(
        itertools.product((5, 4), ("slow", "paper"), (0.1, 0.2), (2,))
    )
    assert {tuple(e.sizes) for e in chosen if e.M == 4} == {(0, 2)} and all(e.init.pwl == 1 for e in chosen)
    assert list(variants([NETS])) != [] and next(variants([NETS])).settings(2, 0) == NETS.settings(2, 0)
    times = variants([NETS, replace(NETS, fit={"lr": 0.1})], rates=[0.25, 1, 4])
    assert [e.fit.get("lr") for e in times] == [0.25 * 0.01, 0.01, 4 * 0.01, 0.25 * 0.1, 0.1, 4 * 0.1]
    table = run(variants(SMALL, init=["slow", "paper"], tau=[0.0, 1.0]), tmp_path / "table.csv", seeds=1)
    assert (table.model != "alrnn").sum() == 2 * 3  # baselines have neither, and are trained once
    assert len(whole(table[table.model == "alrnn"])) == 4 * 4


def test_settings_on_the_command_line(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(experiments, "run", lambda *arguments: asked.append(arguments) or [])
    line = "sweep adding --out x.csv --lr 0.1 0.01 --M 5 6 --steps 3 --init slow --clip 1 --tau 0 1 --shard 2/5"
    main(line.split())
    main("sweep adding --out x.csv --rates 0.25 4".split())
    assert {e.fit["lr"] for e in asked.pop()[0]} == {0.25 * 5e-3, 4 * 5e-3}
    (chosen, *_, executor, batch, part), *_ = asked
    own = list(EXPERIMENTS["adding"]())
    assert len(chosen) == 8 * len(own) and (executor, batch, part) == (None, 40, (2, 5))
    assert {(e.M, e.fit["lr"], e.fit["tau"], e.fit["clip"]) for e in chosen} == set(
        itertools.product((5, 6), (0.1, 0.01), (0.0, 1.0), (1.0,))
    )
    for wrong in ("2", "a/b", "1/2/3"):
        with pytest.raises(SystemExit):
            main(["sweep", "adding", "--out", "x.csv", "--shard", wrong])
    capsys.readouterr()


@pytest.mark.parametrize("parts", [1, 2, 3, 6, 9])
def test_shards_are_everything_and_apart(tmp_path, complete, parts):
    """Each into a table of its own, then merged; and none trains what is another's."""
    paths = [tmp_path / f"{i}.csv" for i in range(parts)]
    for i, path in enumerate(paths, 1):
        run(SMALL, path, **SETTINGS, shard=(i, parts))
    assert sum(len(read(path)) for path in paths) == TOTAL
    same(merge(tmp_path / "all.csv", [path for path in paths if path.exists()]), read(complete))


@pytest.mark.parametrize("wrong", [(0, 2), (3, 2), (1, 0), (1.5, 2)])
def test_shards_that_there_are_not(tmp_path, wrong):
    with pytest.raises(ValueError, match="of shard i/n"):
        run(SMALL, tmp_path / "table.csv", shard=wrong)
    assert shard("3/8") == (3, 8)


# Several processes, killed ones

FORKS = """
import os, random, signal, sys, time
import torch
torch.set_num_threads(1)
sys.stderr = open(os.devnull, "w")
from pathlib import Path
import alrnn.experiments
sys.modules["alrnn.experiments.run"].LOOK = 0.05
from alrnn.experiments import Experiment, read, run
from alrnn.experiments.table import keys
from test_experiments import SETTINGS, SMALL, TOTAL

folder, what, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
train, log, rng = Experiment.train, folder / "trained.log", random.Random(0)

def logged(self, kinds, seeds):
    rows = train(self, kinds, seeds)
    with open(log, "a") as file:
        file.write("".join(f"{self.task.name} {self.init.pwl} {k} {s}\\n" for k in kinds for s in seeds))
    return rows

def child(path):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            Experiment.train = logged
            run(SMALL, path, **SETTINGS | {"batch": 1})
            code = 0
        finally:
            os._exit(code)
    return pid

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

if what == "together":
    for i in range(times):
        log.unlink(missing_ok=True)
        path = folder / f"{i}.csv"
        codes = [ended(pid) for pid in [child(path) for _ in range(2 + 2 * (i % 2))]]
        assert codes == [0] * len(codes), codes
        table, trained = read(path), log.read_text().splitlines()
        assert len(table) == TOTAL == len(set(keys(table))), len(table)
        assert len(trained) == len(set(trained)) == TOTAL, "a net was trained twice"
else:
    start = time.perf_counter()
    assert ended(child(folder / "first.csv")) == 0
    most, path, kept = time.perf_counter() - start, folder / "killed.csv", set()
    for i in range(times):
        pid = child(path)
        time.sleep(rng.uniform(0, most / 4))
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        now = set(keys(read(path)))
        assert kept <= now, "a finished net is lost"
        kept = now
    assert ended(child(path)) == 0
"""


def forks(folder, what, times):
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(folder), what, str(times)], cwd=ROOT, env=ENV, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_and_four_processes_on_one_table(tmp_path, complete):
    """Twenty times: no row is lost, none crashes, and nothing is trained twice."""
    forks(tmp_path, "together", 20)
    for path in tmp_path.glob("*.csv"):
        same(read(path), read(complete))
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".log"}, "locks and claims are cleared away"


def test_killed_twenty_times(tmp_path, complete):
    forks(tmp_path, "killed", 20)
    same(read(tmp_path / "killed.csv"), read(complete))
    assert {path.name for path in tmp_path.iterdir()} == {"first.csv", "killed.csv", "trained.log"}


def test_what_a_killed_process_claimed_is_free(tmp_path):
    code = "import os, sys; from alrnn.experiments.table import Seconds, Shared, key, keys\n"
    code += "with Shared(sys.argv[1]) as table: print(table.take([key({'seed': '1'})])); os.kill(os.getpid(), 9)"
    path = tmp_path / "table.csv"
    wanted = {key({"seed": "1"}), key({"seed": "2"})}
    with Shared(path) as one, Shared(path) as two:
        assert one.take({key({"seed": "1.0"})}) == ({key({"seed": "1"})}, set())
        assert two.take(wanted) == ({key({"seed": "2"})}, {key({"seed": "1"})})
    done = subprocess.run([sys.executable, "-c", code, path], env=ENV, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL and len(list(tmp_path.glob("*.claim-*"))) == 1
    with Shared(path) as table:
        assert table.take(wanted) == (wanted, set())
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_has_softer_ones(tmp_path, monkeypatch):
    """As NFS without its lock daemon; and a name that a pattern would read otherwise."""
    from filelock import FileLock

    def refuses(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", refuses)
    path = tmp_path / "table[1].csv"
    with Shared(path) as one, Shared(path) as two:
        assert one.take({key({"seed": "1"})}) == ({key({"seed": "1"})}, set())
        assert two.take({key({"seed": "1"})}) == (set(), {key({"seed": "1"})})
        assert two.take({key({"seed": "2"})}) == ({key({"seed": "2"})}, set())
    assert len(whole(run([NETS], path, seeds=1))) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["table[1].csv"]


# Jobs that are lost


class Deadly(Experiment):
    """Its nets of seed 1 kill the process that trains them, as long as there is a file."""

    def train(self, kinds, seeds):
        if 1 in seeds and Path(os.environ["DEADLY"]).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().train(kinds, seeds)


def test_a_killed_worker_takes_its_own_job_alone(tmp_path, monkeypatch, caplog):
    flag, path = tmp_path / "deadly", tmp_path / "table.csv"
    monkeypatch.setenv("DEADLY", str(flag))
    flag.touch()
    deadly = Deadly(NETS.task, NETS.M, NETS.sizes, NETS.init, fit=NETS.fit)
    with pytest.raises(IncompleteError, match=r"1 job failed \(.*\): start again to train what is missing"):
        run([deadly], path, seeds=5, batch=3, jobs=2)
    assert [r.message.split(":")[0] for r in caplog.records] == ["adding, M = 5, P = 0, 2, 5, seeds 1"]
    assert sorted(set(read(path).seed)) == ["0", "2", "3", "4"]
    flag.unlink()
    assert len(whole(run([deadly], path, seeds=5, batch=3, jobs=2))) == 15


def test_a_failed_job_is_a_line_and_status_1(tmp_path, monkeypatch, capsys):
    train = Experiment.train

    def fails(self, kinds, seeds):
        if seeds[0] in (1, 2):
            raise RuntimeError("out of luck")
        return train(self, kinds, seeds)

    monkeypatch.setattr(Experiment, "train", fails)
    monkeypatch.setitem(EXPERIMENTS, "adding", lambda: [NETS])
    line = ["sweep", "adding", "--out", str(tmp_path / "table.csv"), "--seeds", "4", "--batch", "1"]
    with pytest.raises(SystemExit) as caught:
        main(line)
    assert "2 jobs failed (RuntimeError: out of luck): start again" in str(caught.value)
    assert capsys.readouterr().err.count("seeds 1: RuntimeError: out of luck") == 1  # those after it are alike
    monkeypatch.setattr(Experiment, "train", train)
    main(line)
    assert len(whole(read(tmp_path / "table.csv"))) == 12


def test_stopped_by_ctrl_c(tmp_path, monkeypatch, capsys):
    """One line and the status that shells expect; what had ended is in the table, and nothing else lies there."""
    train, path = Experiment.train, tmp_path / "table.csv"

    def stopped(self, kinds, seeds):
        if seeds[0] == 2:
            raise KeyboardInterrupt
        return train(self, kinds, seeds)

    monkeypatch.setattr(Experiment, "train", stopped)
    monkeypatch.setitem(EXPERIMENTS, "adding", lambda: [NETS])
    with pytest.raises(SystemExit) as caught:
        main(["sweep", "adding", "--out", str(path), "--seeds", "4", "--batch", "1"])
    assert caught.value.code == 130 and capsys.readouterr().err.endswith("alrnn sweep: stopped\n")
    assert len(read(path)) == 6 and [p.name for p in tmp_path.iterdir()] == ["table.csv"]


# Disks and clocks


@pytest.fixture
def disk(tmp_path):
    """A disk of eight pages."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root on Linux only")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing_and_is_told_once(disk, complete, caplog):
    path, junk = disk / "table.csv", disk / "junk"
    run([NETS], path, seeds=1)
    before = path.read_bytes()
    junk.write_bytes(b"")
    with open(junk, "ab", buffering=0) as file:
        try:
            while file.write(b"0" * 4096):
                pass
        except OSError:
            pass
    with pytest.raises(IncompleteError, match="No space left on device.*start again"):
        run(SMALL, path, **SETTINGS)
    assert path.read_bytes() == before and len(caplog.records) == 1
    assert {p.name for p in disk.iterdir()} == {"table.csv", "junk"}
    junk.unlink()
    same(run(SMALL, path, **SETTINGS), read(complete))


def test_a_disk_that_is_full_for_a_while(tmp_path, complete, monkeypatch):
    """What could not be written is written with the next rows: all is there, and yet it says so."""
    from alrnn.experiments import table

    calls, whole_file = itertools.count(), table.written_whole

    def sometimes(path):
        if next(calls) in (1, 2):
            raise OSError(28, "No space left on device")
        return whole_file(path)

    monkeypatch.setattr(table, "written_whole", sometimes)
    path = tmp_path / "table.csv"
    same(run(SMALL, path, **SETTINGS), read(complete))


def test_a_disk_that_may_only_be_read(disk):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(OSError, match="cannot be written to"):
        run([NETS], disk / "table.csv", seeds=1)


def test_a_table_replaced_by_a_folder(tmp_path, monkeypatch):
    path, train = tmp_path / "table.csv", Experiment.train

    def replaced(self, kinds, seeds):
        if path.is_file():
            path.rename(tmp_path / "moved.csv")
            path.mkdir()
        return train(self, kinds, seeds)

    monkeypatch.setattr(Experiment, "train", replaced)
    with pytest.raises(IsADirectoryError, match="table.csv"):
        run([NETS], path, seeds=4, batch=3)
    assert len(read(tmp_path / "moved.csv")) == 3
    assert {p.name for p in tmp_path.iterdir()} == {"table.csv", "moved.csv"}
    monkeypatch.undo()
    path.rmdir()
    shutil.move(tmp_path / "moved.csv", path)
    assert len(whole(run([NETS], path, seeds=4, batch=3))) == 12


def test_a_clock_that_is_set_back(tmp_path, complete, monkeypatch):
    now = itertools.count(2e9, -3600)
    monkeypatch.setattr(time, "time", lambda: next(now))
    path = tmp_path / "table.csv"
    table = run(SMALL, path, **SETTINGS)
    same(table, read(complete))
    assert (pd.to_numeric(table.seconds) > 0).all()


def test_the_log_is_that_of_the_library():
    assert logging.getLogger("alrnn.experiments.run").name == experiments.run.__module__
    assert len(list(_jobs(_known(SMALL, 3, 1), 3))) == 6
