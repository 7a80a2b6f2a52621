"""The command line: `python -m alrnn sweep TASK --out FILE`, `... merge FILE FILES`, `... data [NAME]`; course work:
`... course A1 --id NUMBER` and `... grade A1 FOLDER --out FOLDER`.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from importlib import import_module

from . import datasets, experiments

SETTINGS = (  # of an experiment, that can be given on the command line
    ("M", int, "hidden size"),
    ("init", str, "kind of start, its other numbers being the experiment's"),
    ("steps", int, "training steps"),
    ("lr", float, "learning rate"),
    ("clip", float, "largest norm of a gradient"),
    ("tau", float, "weight of the regularisation; not for baselines"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; those of the process by default. What the caller got wrong ends it with one line."""
    parser = argparse.ArgumentParser("alrnn", description="Almost-Linear RNNs: full-size experiments and data sets.")
    commands = parser.add_subparsers(dest="command", required=True)

    sweep = commands.add_parser("sweep", help="run a full-size experiment, or go on with it")
    sweep.description = (
        "Train what FILE does not hold yet, one row a net. May be stopped at any time and started again."
    )
    sweep.add_argument("task", choices=experiments.EXPERIMENTS)
    sweep.add_argument("--out", required=True, metavar="FILE", help="the table (CSV)")
    sweep.add_argument("--P", type=int, nargs="+", help="these numbers of nonlinear units; those above M are left out")
    sweep.add_argument("--seeds", type=int, help="seeds 0, 1, ... of AL-RNNs (default 10; 3 for large data)")
    sweep.add_argument("--baseline-seeds", type=int, default=3, help="seeds of RNN, GRU, LSTM (default 3)")
    sweep.add_argument("--batch", type=int, default=40, help="nets trained in one pass, at most (default 40)")
    other = sweep.add_argument_group("settings instead of the experiment's own; all combinations, if there are several")
    for name, kind, what in SETTINGS:
        other.add_argument(f"--{name}", type=kind, nargs="+", help=what)
    other.add_argument("--rates", type=float, nargs="+", default=[1.0], help="so many times the learning rate")
    where = sweep.add_argument_group("where to train")
    where.add_argument("--jobs", type=int, default=1, help="processes of this machine (default 1)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="of Dask, such as tcp://host:8786, instead of --jobs")
    where.add_argument("--shard", type=shard, default=(1, 1), metavar="I/N", help="train part I of N, from 1, alone")

    merge = commands.add_parser("merge", help="put tables of the same or other nets into one")
    merge.description = "Add to OUT the rows of the other files, each net once. Nothing is lost of any of them."
    merge.add_argument("out", metavar="OUT", help="the table, new or not")
    merge.add_argument("files", nargs="+", metavar="FILE", help="tables, as sweep has written them")

    data = commands.add_parser("data", help="list the data sets, or fetch one")
    data.add_argument("name", nargs="?", choices=datasets.REGISTRY, help="the one to fetch")

    course = commands.add_parser("course", help="make the folder of an assignment")
    course.add_argument("assignment", metavar="A1", help="A1, A2, A3 or A4")
    course.add_argument("--id", required=True, help="your student number: it decides the numbers of your variant")
    course.add_argument("--out", metavar="FOLDER", help="by default one of the assignment's name")

    grade = commands.add_parser("grade", help="grade the notebooks of a class, or go on with it")
    grade.description = "FOLDER holds NUMBER.ipynb or NUMBER/A1.ipynb, one a student. May be stopped and started again."
    grade.add_argument("assignment", metavar="A1", help="A1, A2, A3 or A4")
    grade.add_argument("folder", metavar="FOLDER", help="what was handed in")
    grade.add_argument("--out", required=True, metavar="FOLDER", help="for points.csv and each student's feedback")
    grade.add_argument("--jobs", type=int, default=2, help="submissions at a time (default 2)")

    given = parser.parse_args(arguments)
    try:
        own = {"sweep": run_sweep, "merge": run_merge, "data": show_data}
        (own.get(given.command) or getattr(import_module("alrnn.course.commands"), given.command))(given)
    except (ValueError, OSError, ImportError, datasets.DataError, experiments.IncompleteError) as error:
        raise SystemExit(f"alrnn {given.command}: {error}") from None
    except KeyboardInterrupt:
        print(f"alrnn {given.command}: stopped", file=sys.stderr)
        raise SystemExit(130) from None


def shard(text: str) -> tuple[int, int]:
    """I/N as two numbers."""
    part, parts = text.split("/")
    return int(part), int(parts)


def run_sweep(given: argparse.Namespace) -> None:
    """Train what the table lacks, with the experiment's own settings but for those given."""
    own = {name: values for name, *_ in SETTINGS if (values := getattr(given, name)) is not None}
    chosen = list(experiments.variants(experiments.EXPERIMENTS[given.task](), rates=given.rates, **own))
    if given.P is not None:
        chosen = [e.with_sizes(given.P) for e in chosen]
    seeds = experiments.SEEDS.get(given.task, 10) if given.seeds is None else given.seeds
    with workers(given.scheduler) if given.scheduler else contextlib.nullcontext() as executor:
        table = experiments.run(
            chosen, given.out, seeds, given.baseline_seeds, given.jobs, executor, given.batch, given.shard
        )
    print(f"{given.out}: {len(table)} nets")


@contextlib.contextmanager
def workers(scheduler: str) -> Iterator[Executor]:
    """Those of a Dask scheduler."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ImportError(f"--scheduler needs {error.name}: install alrnn[cluster]") from error
    with Client(scheduler) as client:
        yield client.get_executor()


def run_merge(given: argparse.Namespace) -> None:
    """Put tables into one."""
    print(f"{given.out}: {len(experiments.merge(given.out, given.files))} nets")


def show_data(given: argparse.Namespace) -> None:
    """Print the files of a data set, fetched if need be, or a table of all sets."""
    if given.name:
        print(*datasets.fetch(given.name), sep="\n")
    else:
        print(datasets.describe()[["name", "size", "where", "content", "licence"]].to_string(index=False))


if __name__ == "__main__":
    main()
