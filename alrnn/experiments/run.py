"""Full-size runs: nets are trained in jobs, here or elsewhere, and go into a table, stopped and resumed at will."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import replace

import pandas as pd
from tqdm import tqdm  # plain text: a notebook widget would stay behind in the page
from tqdm.contrib.logging import logging_redirect_tqdm

from ..checks import integer
from ..tasks import Task
from .catalogue import Experiment
from .table import Key, Seconds, Shared, keys, texts
from .workers import Here, Processes

try:
    import cloudpickle as pickle  # takes what is defined in a notebook, too
except ModuleNotFoundError:
    import pickle

Wanted = tuple[Experiment, int | str, int]  # a net: its experiment, kind and seed
Job = tuple[Experiment, tuple[int | str, ...], list[int]]  # an experiment, kinds and seeds: all pairs of them
LOG = logging.getLogger(__name__)
LOOK = 1.0  # seconds between two looks at what other processes are training


class IncompleteError(RuntimeError):
    """Some jobs failed, while all others are in the table."""


def run(
    experiments: Iterable[Experiment],
    path: str | os.PathLike,
    seeds: int = 10,
    baseline_seeds: int = 3,
    jobs: int = 1,
    executor: Executor | None = None,
    batch: int = 40,
    shard: tuple[int, int] = (1, 1),
) -> pd.DataFrame:
    """Train what the table at `path` does not hold yet and add it there, one row a net, as jobs end.

    A net is known by the values of all its settings, so nets with others live in the same table side by side. Killed at
    any point, the table is whole. Several processes may fill one table: each trains what no other is training. A job
    that fails becomes a line in the log, and the others go on.

    Args:
        seeds, baseline_seeds: how many seeds, 0, 1, ..., of AL-RNNs and of baselines.
        jobs: how many processes of this machine work at once; 1 is this process itself.
        executor: whatever runs jobs instead, with the interface of `concurrent.futures.Executor`; it gets all of them
            at once. Of Dask: `client.get_executor()`.
        batch: how many nets a job holds at most (but at least one seed with every P); what a kill can cost.
        shard: (i, n), this is part i of n, from 1: all n together train everything, in any order, at any time.

    Returns:
        the table, every entry as the text it is.

    Raises:
        ValueError: jobs below 1, no such shard, nothing to train, or the file is there and is no such table.
        OSError: it cannot be written there; before any net is trained. IncompleteError: after all that could be trained
            was trained. ImportError: loky is not installed, for several jobs.
    """
    jobs, batch = integer("jobs", jobs, 1), integer("batch", batch, 1)
    seeds, baseline_seeds = integer("seeds", seeds, 0), integer("baseline_seeds", baseline_seeds, 0)
    parts = integer("n of shard i/n", shard[1], 1)
    part = integer("i of shard i/n", shard[0], 1, parts)
    nets = _known(list(experiments), seeds, baseline_seeds)
    if not nets:
        raise ValueError("there is nothing to train: no seeds, or no P up to M")
    blocks = [list(_nets(job)) for job in _jobs(nets, batch)][part - 1 :: parts]
    with contextlib.ExitStack() as stack:
        stack.enter_context(logging_redirect_tqdm())
        table = stack.enter_context(Shared(path))
        workers = executor or stack.enter_context(Here() if jobs == 1 else Processes(jobs))
        bar = stack.enter_context(tqdm(total=sum(map(len, blocks)), unit="net"))
        work = _Work(table, nets, workers, None if executor else jobs, batch, bar)
        try:
            work.train(blocks)
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True) if not executor else work.cancel()
            raise
        return table.read()


def _known(experiments: list[Experiment], seeds: int, baseline_seeds: int) -> dict[Wanted, Key]:
    """All nets that are wanted, each once, and what they are known by in a table."""
    nets: list[Wanted] = [(e, P, seed) for e in experiments for seed in range(seeds) for P in e.sizes]
    nets += [(e, model, seed) for e in experiments for seed in range(baseline_seeds) for model in e.models]
    rows = texts(pd.DataFrame([e.settings(kind, seed) for e, kind, seed in nets], dtype=object))  # integers stay so
    known: dict[Key, Wanted] = {}
    for k, net in zip(keys(rows), nets, strict=True):
        known.setdefault(k, net)
    return {net: k for k, net in known.items()}


class _Work:
    """What is under way: jobs and their nets, rows that could not be written yet, and errors, by what they say."""

    def __init__(
        self, table: Shared, nets: dict[Wanted, Key], workers: Executor, most: int | None, batch: int, bar: tqdm
    ):
        self.table, self.nets, self.workers, self.most, self.batch, self.bar = table, nets, workers, most, batch, bar
        self.pending: dict[Future, Job] = {}
        self.unwritten: list[pd.DataFrame] = []
        self.unwritable = ""
        self.failed: Counter[str] = Counter()
        self.seconds = Seconds(table.read())
        self.left: set[Key] = set()
        self.packed = functools.cache(lambda experiment: pickle.dumps(experiment.task))

    def train(self, blocks: list[list[Wanted]]) -> None:
        """Train all of these nets that nobody has trained, and wait for those that others are training."""
        self.left = {self.nets[net] for block in blocks for net in block}
        while blocks:
            later = []
            for block in blocks:
                free, taken = self.table.take(self.nets[net] for net in block)
                later += [[net for net in block if self.nets[net] in taken]] if taken else []
                self._done({self.nets[net] for net in block} - free - taken)
                for job in _jobs((net for net in block if self.nets[net] in free), self.batch):
                    self._submit(job)
            while self.pending:
                self._finish()
            if blocks := later:
                time.sleep(LOOK)
        if self.unwritten:
            self._write()
        if self.unwritten or self.failed:
            why = "; ".join([*self.failed, *([self.unwritable] if self.unwritten else [])])
            lost = self.failed.total() + len(self.unwritten)
            what = f"{lost} job{'s' * (lost > 1)} failed"
            raise IncompleteError(f"{what} ({why}): start again to train what is missing")

    def _submit(self, job: Job) -> None:
        while self.most and len(self.pending) >= self.most:
            self._finish()
        experiment, kinds, seeds = job
        bare = replace(experiment, task=None)  # type: ignore[arg-type]  # its task goes packed, to be unpacked once
        try:
            future = self.workers.submit(_train, self.packed(experiment), bare, kinds, seeds)
        except BrokenExecutor as error:
            (future := Future()).set_exception(error)
        self.pending[future] = job

    def _finish(self) -> None:
        """Wait until a job ends, and write the rows of all that have."""
        done, _ = wait(self.pending, return_when=FIRST_COMPLETED)
        rows = []
        for future in done:
            job = self.pending.pop(future)
            try:
                rows.append(future.result())
            except (Exception, CancelledError) as error:
                why = f"{type(error).__name__}: {str(error).split(chr(10))[0]}"
                self.failed[why] += 1
                if self.failed[why] == 1:  # the others fail alike
                    LOG.error("%s: %s", _told(job), why)
        self._write(*rows)
        for table in rows:
            self.seconds.add(table)
            self._done(set(keys(table)))

    def _write(self, *rows: pd.DataFrame) -> None:
        """Add rows to the table, and those that could not be written before; if need be, keep them for later."""
        self.unwritten += rows
        try:
            self.table.add(*self.unwritten)
            self.unwritten = []
        except (OSError, ValueError) as error:
            if not self.unwritable:
                LOG.error("%s cannot be written, rows wait until it can: %s", self.table.path, error)
            self.unwritable = f"{self.table.path} cannot be written: {error}"

    def _done(self, nets: set[Key]) -> None:
        """Show that these are trained, and how long the others may take."""
        self.left -= nets
        self.bar.update(len(nets))
        work = self.seconds.of(self.left) / (self.most or 1)
        self.bar.set_postfix_str(f"{tqdm.format_interval(work)} {'left' if self.most else 'of work left'}" * (work > 0))

    def cancel(self) -> None:
        """Take back what has not begun."""
        for future in self.pending:
            future.cancel()


def _train(task: bytes, experiment: Experiment, kinds: Sequence[int | str], seeds: Sequence[int]) -> pd.DataFrame:
    """What a worker does: rows of texts."""
    return texts(replace(experiment, task=_unpacked(task)).train(kinds, seeds))


@functools.lru_cache(maxsize=4)
def _unpacked(task: bytes) -> Task:
    """The task, kept for further jobs: so a worker reads its data once."""
    return pickle.loads(task)


def _jobs(nets: Iterable[Wanted], batch: int) -> Iterator[Job]:
    """Group nets into jobs: whole seeds, as many as fit `batch`, that want the same kinds. Baselines go alone."""
    wanted, groups = defaultdict(list), defaultdict(list)
    for experiment, kind, seed in nets:
        wanted[experiment, seed, kind if isinstance(kind, str) else "alrnn"].append(kind)
    for (experiment, seed, _), found in wanted.items():
        groups[experiment, tuple(found)].append(seed)
    for (experiment, kinds), seeds in groups.items():
        size = 1 if isinstance(kinds[0], str) else max(1, batch // len(kinds))
        yield from ((experiment, kinds, seeds[i : i + size]) for i in range(0, len(seeds), size))


def _nets(job: Job) -> list[Wanted]:
    experiment, kinds, seeds = job
    return [(experiment, kind, seed) for seed in seeds for kind in kinds]


def _told(job: Job) -> str:
    experiment, kinds, seeds = job
    what = f"P = {', '.join(map(str, kinds))}" if isinstance(kinds[0], int) else str(kinds[0])
    return f"{experiment.task.name}, M = {experiment.M}, {what}, seeds {', '.join(map(str, seeds))}"
