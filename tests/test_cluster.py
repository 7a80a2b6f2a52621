"""A real cluster of two workers on this machine, of which some are killed; what jobs and workers carry."""

import contextlib
import os
import pickle
import random
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import replace

import dask
import pytest
from distributed import Client, LocalCluster
from test_experiments import NETS, same, whole

from alrnn.__main__ import main
from alrnn.experiments import EXPERIMENTS, Experiment, IncompleteError, read, run
from alrnn.experiments.run import _train, _unpacked
from alrnn.tasks import SequentialMNIST


class Slow(Experiment):
    """Half a second a job, so that a worker can be killed amid one."""

    def train(self, kinds, seeds):
        time.sleep(0.5)
        return super().train(kinds, seeds)


EIGHT = Slow(NETS.task, NETS.M, NETS.sizes, NETS.init, fit=NETS.fit)  # times eight seeds: 24 nets, three a job


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return run([NETS], tmp_path_factory.mktemp("plain") / "table.csv", seeds=8, batch=3)


@pytest.fixture
def cluster():
    settings = {"distributed.worker.daemon": True, "distributed.comm.timeouts.connect": "30s"}
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, memory_limit=0, silence_logs=50
        ) as cluster,
    ):
        yield cluster


def kill_workers(cluster, path, times, stop):
    """Kill a worker each time that some rows more are in the table, as long as a job is under way."""
    seen = 0
    while times and not stop.wait(0.05):
        rows = len(read(path))
        pids = {nanny.worker_address: nanny.pid for nanny in cluster.workers.values()}
        # one that was killed stays on the scheduler's list for a moment, when its nanny has a new one already
        busy = [pids.get(w.address) for w in [*cluster.scheduler.workers.values()] if w.processing]
        if rows > seen and any(busy) and rows < 20:
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.Random(times).choice([pid for pid in busy if pid]), signal.SIGKILL)
                seen, times = rows, times - 1
    return times


def test_workers_killed_three_times_lose_nothing(cluster, tmp_path, plain):
    path, stop, left = tmp_path / "table.csv", threading.Event(), []
    killer = threading.Thread(target=lambda: left.append(kill_workers(cluster, path, 3, stop)))
    with Client(cluster) as client:
        killer.start()
        try:
            table = run([EIGHT], path, seeds=8, batch=3, executor=client.get_executor())
        finally:
            stop.set()
            killer.join()
    assert left == [0], "three workers were killed"
    assert len(whole(table)) == 24
    same(table, plain)
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_a_lost_job_is_named_and_a_second_start_completes_the_table(cluster, tmp_path, plain, caplog, monkeypatch):
    cluster.scheduler.allowed_failures = 0
    path, stop = tmp_path / "table.csv", threading.Event()
    killer = threading.Thread(target=kill_workers, args=(cluster, path, 1, stop))
    with Client(cluster) as client:
        killer.start()
        try:
            with pytest.raises(IncompleteError, match="failed .*KilledWorker.*: start again"):
                run([EIGHT], path, seeds=8, batch=3, executor=client.get_executor())
        finally:
            stop.set()
            killer.join()
    assert any("adding, M = 5, P = 0, 2, 5, seeds" in r.message and "KilledWorker" in r.message for r in caplog.records)
    assert 3 <= len(whole(read(path))) < 24
    monkeypatch.setitem(EXPERIMENTS, "adding", lambda: [NETS])  # and by the command line, with the scheduler's address
    line = ["sweep", "adding", "--out", str(path), "--seeds", "8", "--batch", "3", "--scheduler"]
    main([*line, cluster.scheduler_address])
    same(read(path), plain)


def test_no_scheduler_is_one_line(tmp_path):
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), pytest.raises(SystemExit) as caught:
        main(["sweep", "adding", "--out", str(tmp_path / "table.csv"), "--scheduler", "tcp://127.0.0.1:9"])
    assert "127.0.0.1:9" in str(caught.value) and "\n" not in str(caught.value)


def test_no_job_carries_data_and_a_worker_reads_them_once(monkeypatch, tmp_path):
    """Jobs of one task hold the same few bytes, and unpack to one task."""
    reads, digits = Counter(), SequentialMNIST.parts.func
    monkeypatch.setattr(SequentialMNIST.parts, "func", lambda task: (reads.update(["digits"]), digits(task))[1])
    task = SequentialMNIST("row", size=14)
    task.held_out("test", 2)
    sent = []
    small = Experiment(task, 4, [0, 1], fit={"steps": 1, "batch_size": 2})
    _unpacked.cache_clear()

    def carried(packed, experiment, kinds, seeds):
        sent.append((packed, pickle.dumps((experiment, kinds, seeds))))
        return _train(packed, experiment, kinds, seeds)

    monkeypatch.setattr(sys.modules["alrnn.experiments.run"], "_train", carried)
    run([small, replace(small, M=5)], tmp_path / "table.csv", seeds=3, batch=2)
    assert len(sent) == 6 and len({packed for packed, _ in sent}) == 1
    assert max(len(packed) + len(rest) for packed, rest in sent) < 4096
    assert reads == {"digits": 2}, "once here, above, and once for all jobs"
