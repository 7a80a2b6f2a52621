"""Executors of this machine: this process itself, and processes each of which can fail alone."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any

import torch

from .. import recurrence


class Here(Executor):
    """This process: a job is done when it is submitted."""

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # as of a job elsewhere: it is told by the future
            future.set_exception(error)
        return future


class Processes(ThreadPoolExecutor):
    """`jobs` processes, among which torch's threads are divided. One that is killed takes with it its own job alone.

    Raises:
        ImportError: loky is not installed.
    """

    def __init__(self, jobs: int):
        try:
            from loky.process_executor import ProcessPoolExecutor
        except ModuleNotFoundError as error:
            raise ImportError(f"several jobs at once need {error.name}: install alrnn[experiments]") from error
        super().__init__(jobs)
        recurrence.backend()  # compiled here, once, and not by each of them
        threads = max(1, torch.get_num_threads() // jobs)
        # A worker left idle ends after a while, also where the process that started it was killed.
        self._start = lambda: ProcessPoolExecutor(1, timeout=20, initializer=torch.set_num_threads, initargs=(threads,))
        self._idle: queue.Queue = queue.Queue()
        self._all: set[Any] = set()
        for _ in range(jobs):
            self._idle.put(None)

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        return super().submit(self._run, fn, *args, **kwargs)

    def _run(self, fn: Callable, *args: Any, **kwargs: Any) -> Any:
        pool = self._idle.get()
        try:
            if pool is None:
                pool = self._start()
                self._all.add(pool)
            return pool.submit(fn, *args, **kwargs).result()
        except BrokenExecutor:
            self._all.discard(pool)
            pool.shutdown(kill_workers=True)
            pool = None  # the next job starts another
            raise
        finally:
            self._idle.put(pool)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End; with wait=False at once, jobs under way included."""
        if not wait:
            for pool in list(self._all):
                pool.shutdown(kill_workers=True)
        super().shutdown(wait, cancel_futures=cancel_futures)
        for pool in list(self._all):
            pool.shutdown(kill_workers=not wait)
