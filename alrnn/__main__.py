"""The command line: `python -m alrnn sweep TASK --out FILE` and `python -m alrnn data [NAME]`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from . import datasets, experiments


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
    sweep.add_argument("--steps", type=int, help="training steps instead of the experiment's own")
    sweep.add_argument("--jobs", type=int, default=1, help="jobs at once (default 1)")
    sweep.add_argument("--backend", default="loky", help="of joblib (default loky)")
    sweep.add_argument("--batch", type=int, default=40, help="nets trained in one pass, at most (default 40)")

    data = commands.add_parser("data", help="list the data sets, or fetch one")
    data.add_argument("name", nargs="?", choices=datasets.REGISTRY, help="the one to fetch")

    given = parser.parse_args(arguments)
    try:
        run_sweep(given) if given.command == "sweep" else show_data(given.name)
    except (ValueError, OSError, ImportError, datasets.DataError) as error:
        raise SystemExit(f"alrnn {given.command}: {error}") from None


def run_sweep(given: argparse.Namespace) -> None:
    """Train what the table lacks, with the experiment's own settings but for those given."""
    chosen = list(experiments.EXPERIMENTS[given.task]())
    if given.P is not None:
        chosen = [e.with_sizes(given.P) for e in chosen]
    if given.steps is not None:
        chosen = [replace(e, fit=e.fit | {"steps": given.steps}) for e in chosen]
    seeds = experiments.SEEDS.get(given.task, 10) if given.seeds is None else given.seeds
    table = experiments.run(chosen, given.out, seeds, given.baseline_seeds, given.jobs, given.backend, given.batch)
    print(f"{given.out}: {len(table)} nets")


def show_data(name: str | None) -> None:
    """Print the files of a data set, fetched if need be, or a table of all sets."""
    if name:
        print(*datasets.fetch(name), sep="\n")
    else:
        print(datasets.describe()[["name", "size", "where", "content", "licence"]].to_string(index=False))


if __name__ == "__main__":
    main()
