"""Tables made piece by piece, which go on where they stopped: what the tools for single chapters share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

Pieces = Iterator[tuple[dict[str, Any], Callable[[], pd.DataFrame]]]  # what a piece is about, and how it is made


def make(pieces: Pieces, path: Path) -> pd.DataFrame:
    """The table at `path`, with the pieces that it lacked; written after each."""
    table = pd.read_csv(path) if path.exists() else pd.DataFrame()
    for about, piece in pieces:
        if len(table) and (table[list(about)] == pd.Series(about)).all(axis=1).any():
            continue
        found = piece()
        keep = [c for c in found.columns if c not in about and (c != "P" or not found.P.isna().all())]
        table = pd.concat([table, found[keep].assign(**about)[[*about, *keep]]], ignore_index=True)
        part = path.with_suffix(".part")
        table.to_csv(part, index=False, float_format="%.5g")
        part.replace(path)
        print(about, flush=True)
    return table


def command(about: str | None, tables: Mapping[str, Callable[[], Pieces]]) -> None:
    """The command line of a tool: the name of a table, where there are several, and the file it goes to."""
    parser = argparse.ArgumentParser(description=about)
    if len(tables) > 1:
        parser.add_argument("what", choices=tables)
    parser.add_argument("out", type=Path, metavar="FILE", help="the table (CSV)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    pieces = tables[getattr(given, "what", next(iter(tables)))]()
    print(f"{given.out}: {len(make(pieces, given.out))} rows")
