"""A table of trained nets, one row each, filled by any number of processes, stopped and resumed at will."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..checks import integer
from .catalogue import Experiment

Wanted = tuple[Experiment, int | str, int]  # a net: its experiment, kind and seed


def run(
    experiments: Iterable[Experiment],
    path: str | os.PathLike,
    seeds: int = 10,
    baseline_seeds: int = 3,
    jobs: int = 1,
    backend: str = "loky",
    batch: int = 40,
) -> pd.DataFrame:
    """Train what the table at `path` does not hold yet and add it there, one row a net.

    A net is known by all its settings, so nets with others live in the same table side by side. Killed at any point,
    the table is whole: each job's rows replace the file in one step. One process a table; `jobs` are for more cores.

    Args:
        seeds, baseline_seeds: how many seeds, 0, 1, ..., of AL-RNNs and of baselines.
        jobs: how many jobs run at once; what a kill can cost. backend: any of joblib's.
        batch: how many nets a job holds at most (but at least one seed with every P).

    Returns:
        the table, every entry as the text it is.

    Raises:
        ValueError: jobs below 1, nothing to train, or the file is there and is no such table.
        OSError: it cannot be written there; before any net is trained. ImportError: joblib is not installed.
    """
    try:
        from joblib import Parallel, delayed
    except ModuleNotFoundError as error:
        raise ImportError(f"full-size runs need {error.name}: install alrnn[experiments]") from error
    jobs, batch = integer("jobs", jobs, 1), integer("batch", batch, 1)
    seeds, baseline_seeds = integer("seeds", seeds, 0), integer("baseline_seeds", baseline_seeds, 0)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path.parent} cannot be written to")
    experiments = list(experiments)
    nets: list[Wanted] = [(e, P, seed) for e in experiments for seed in range(seeds) for P in e.sizes]
    nets += [(e, model, seed) for e in experiments for seed in range(baseline_seeds) for model in e.models]
    if not nets:
        raise ValueError("there is nothing to train: no seeds, or no P up to M")
    rows = _text(pd.DataFrame([e.settings(kind, seed) for e, kind, seed in nets], dtype=object))  # integers stay so
    table = read(path)
    if len(table.columns) and (missing := {"model", "task", "seed", "test"} - set(table)):
        raise ValueError(f"{path} is no table of sweeps: it has no column {', '.join(sorted(missing))}")
    done = pd.MultiIndex.from_frame(table.reindex(columns=rows.columns, fill_value=""))
    todo = [nets[i] for i in np.flatnonzero(~pd.MultiIndex.from_frame(rows).isin(done))]
    work = [delayed(experiment.train)(kinds, seeds) for experiment, kinds, seeds in _jobs(todo, batch)]
    bar = tqdm(total=len(nets), initial=len(nets) - len(todo), unit="net")
    with bar, Parallel(n_jobs=jobs, backend=backend) as parallel:
        for i in range(0, len(work), jobs):  # not as a generator of results, which some backends do not know
            new = [_text(result) for result in parallel(work[i : i + jobs])]
            bar.update(sum(map(len, new)))
            # Settings first, then results. Rows that another process added stay; but see above.
            table = pd.concat([rows.head(0), read(path), *new]).fillna("")
            _write(table[~table.duplicated(list(rows.columns))], path)
    return read(path)


def read(path: str | os.PathLike) -> pd.DataFrame:
    """The table at `path` with every entry as the text it is; empty if there is none."""
    there = os.path.exists(path) and os.path.getsize(path)
    table = pd.read_csv(path, dtype=str, keep_default_na=False).fillna("") if there else pd.DataFrame()
    return table[table["version"] != ""] if "version" in table else table  # the last column: rows without were cut off


def _text(table: pd.DataFrame) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(table.to_csv(index=False)), dtype=str, keep_default_na=False)


def _write(table: pd.DataFrame, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        file.write(table.to_csv(index=False, lineterminator="\n").encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _jobs(nets: list[Wanted], batch: int) -> Iterator[tuple[Experiment, tuple[int | str, ...], list[int]]]:
    """Group nets into jobs: whole seeds, as many as fit `batch`, that lack the same kinds. Baselines go alone."""
    lacking, groups = defaultdict(list), defaultdict(list)
    for experiment, kind, seed in nets:
        lacking[experiment, seed, kind if isinstance(kind, str) else "alrnn"].append(kind)
    for (experiment, seed, _), found in lacking.items():
        groups[experiment, tuple(found)].append(seed)
    for (experiment, kinds), seeds in groups.items():
        size = 1 if isinstance(kinds[0], str) else max(1, batch // len(kinds))
        yield from ((experiment, kinds, seeds[i : i + size]) for i in range(0, len(seeds), size))
