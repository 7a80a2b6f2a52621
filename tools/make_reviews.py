"""Make data/reviews.npz and data/reviews-words.txt: python tools/make_reviews.py

Small nets trained on the film reviews (alrnn.datasets.imdb, so ALRNN_DATA or a download), with few words and rounded
weights, so that they can travel with the book and be read by its pages. No text of a review is in them. The scores in
the table are those of the rounded nets. Another processor gives other last bits, which training magnifies.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch

import alrnn
from alrnn import regions

DATA = Path(__file__).resolve().parent.parent / "data"
FILES = DATA / "reviews.npz", DATA / "reviews-words.txt"
FIT = {"steps": 700, "lr": 1e-2, "clip": 1.0}
DECIMALS = 3


def shuffled(batch: alrnn.tasks.Batch) -> alrnn.tasks.Batch:
    """The same texts, each with its words in random order; what is not there stays in front."""
    key = torch.rand(batch.s.shape, generator=torch.Generator().manual_seed(0))
    order = torch.where(batch.s < 0, -1, key).argsort(1)
    return alrnn.tasks.Batch(batch.s.gather(1, order), batch.target, batch.weight)


def main() -> None:
    task = alrnn.tasks.Sentiment(vocabulary=4000)
    sweep = alrnn.sweep(task, 16, [0, 5], 3, alrnn.Init("slow", value=0.5, pwl=0.5), progress=False, **FIT)
    for net in sweep.nets:
        for weights in net.parameters():
            weights.data = weights.data.double().mul(10**DECIMALS).round().div(10**DECIMALS).float()
    batches = {split: task.held_out(split) for split in ("validation", "test")}
    batches["test_shuffled"] = shuffled(batches["test"])
    for name, batch in batches.items():
        sweep.table[name] = alrnn.evaluate(sweep.nets, task, batch).numpy()
    few = batches["test"][:300]
    seen = [regions.visits(net, net(few.s)[1].detach(), few.s >= 0) for net in sweep.nets]
    sweep.table["region"] = ["".join(str(int(bit)) for bit in one.bits[0]) for one in seen]  # the one most visited
    sweep.table["region_share"] = [float(one.counts[0] / one.counts.sum()) for one in seen]
    sweep.save(FILES[0])
    with np.load(FILES[0]) as archive:
        arrays = dict(archive)
    np.savez_compressed(FILES[0], allow_pickle=False, **arrays)
    FILES[1].write_text("\n".join(task.words) + "\n", encoding="utf-8")
    print(sweep.table[["P", "seed", "validation", *list(batches)[1:], "region", "region_share"]].to_string())
    for path in FILES:
        print(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
