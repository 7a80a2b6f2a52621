"""A limited number of trials of another task."""

import pickle

import pytest
import torch

import alrnn
from alrnn import tasks

OF = {
    "adding": tasks.Adding(10),
    "rule": tasks.RuleInversion(11),
    "copy": tasks.VariableCopy(8, 3, 4),
}


@pytest.mark.parametrize("name", OF)
def test_there_are_so_many_trials_and_no_others(name):
    whole = OF[name]
    task = tasks.Fixed(whole, trials=20)
    drawn = task.sample(500, torch.Generator().manual_seed(0))
    rows = {row.numpy().tobytes() for row in drawn.s}
    assert len(rows) == 20 and rows == {row.numpy().tobytes() for row in task.drawn.s}
    counts = torch.unique(drawn.s.flatten(1), dim=0, return_counts=True)[1]
    assert counts.min() > 5  # 25 on average
    for s, target in zip(drawn.s[:50], drawn.target, strict=False):  # each with its own answer
        at = (task.drawn.s == s).flatten(1).all(1).nonzero()[0, 0]
        assert torch.equal(task.drawn.target[at], target)
    other = tasks.Fixed(whole, trials=20, seed=1)
    assert not torch.equal(other.drawn.s, task.drawn.s)
    for split in ("validation", "test"):
        for n in (None, 7):
            a, b = (one.held_out(split) if n is None else one.held_out(split, n) for one in (task, whole))
            assert torch.equal(a.s, b.s) and torch.equal(a.target, b.target)


@pytest.mark.parametrize("name", OF)
def test_so_many_more_are_kept_to_choose_by(name):
    whole = OF[name]
    task, all_of_them = tasks.Fixed(whole, trials=20, validation=5), tasks.Fixed(whole, trials=25)
    kept = task.held_out("validation")
    assert torch.equal(kept.s, all_of_them.drawn.s[20:]) and torch.equal(kept.target, all_of_them.drawn.target[20:])
    assert len(task.held_out("validation", 3)) == 3 and len(task.held_out("validation", 30)) == 5
    drawn = task.sample(500, torch.Generator().manual_seed(0))
    rows = {row.numpy().tobytes() for row in drawn.s}
    assert rows == {row.numpy().tobytes() for row in all_of_them.drawn.s[:20]}
    assert torch.equal(task.held_out("test", 7).s, whole.held_out("test", 7).s)
    assert task.settings()["validation"] == 5 and "validation" not in all_of_them.settings()


@pytest.mark.parametrize("name", OF)
def test_all_else_is_the_tasks_own(name):
    whole, task = OF[name], tasks.Fixed(OF[name], 5)
    assert (task.name, task.metric, task.better, task.chance) == (whole.name, whole.metric, whole.better, whole.chance)
    net = alrnn.ALRNN(task.input_size, 6, 2, task.output_size, seed=0)
    batch = task.held_out("test", 50)
    y = net(batch.s)[0]
    assert task.scores(y, batch).keys() == whole.scores(y, batch).keys()
    assert torch.equal(task.loss(y, batch), whole.loss(y, batch))
    again = pickle.loads(pickle.dumps(task))
    assert "drawn" not in vars(again) and torch.equal(again.drawn.s, task.drawn.s)
    row = alrnn.sweep(task, 6, [1], 2, steps=3, progress=False).table
    assert (row.task_trials == 5).all() and (row.task_seed == 0).all() and (row.task == whole.name).all()


def test_recordings_are_drawn_once_each_and_without_noise():
    whole = tasks.SpokenDigits(clips=3)
    task = tasks.Fixed(whole, trials=20, validation=5)
    all_there = whole.parts["train"][0]
    places = [(all_there == s).flatten(1).all(1).nonzero()[0, 0].item() for s in task.drawn.s]
    assert len(set(places)) == 25
    assert torch.equal(task.drawn.info["label"], whole.parts["train"][-1][places])
    rows = {row.numpy().tobytes() for row in task.sample(500, torch.Generator().manual_seed(0)).s}
    assert rows == {row.numpy().tobytes() for row in task.drawn.s[:20]}
    assert torch.equal(task.held_out("validation").s, task.drawn.s[20:])
    assert torch.equal(task.held_out("test").s, whole.held_out("test").s)
    other = tasks.Fixed(whole, trials=20, validation=5, seed=1)
    assert not torch.equal(other.drawn.s, task.drawn.s)


def test_few_trials_are_learned_by_heart():
    """The loss on five trials falls far below what the same net gets on new ones."""
    task = tasks.Fixed(tasks.Adding(10), trials=5)
    net = alrnn.ALRNN(2, 20, 5, 1, seed=0, init="slow")
    alrnn.fit(net, task, steps=600, lr=1e-2, progress=False)
    seen, new = (alrnn.evaluate(net, task, batch).item() for batch in (task.drawn, task.held_out("test", 500)))
    assert seen < new / 10


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: tasks.Fixed(tasks.Adding, 5), TypeError, "a task with all its trials"),
        (lambda: tasks.Fixed(tasks.Fixed(tasks.Adding(), 5), 5), TypeError, "a task with all its trials, got Fixed"),
        (lambda: tasks.Fixed(tasks.SpokenDigits(clips=2), 15, validation=6).drawn, ValueError, "from 1 to 20, got 21"),
        (lambda: tasks.Fixed(tasks.Adding(), 0), ValueError, "trials"),
        (lambda: tasks.Fixed(tasks.Adding(), 5, seed=-1), ValueError, "seed"),
        (lambda: tasks.Fixed(tasks.Adding(), 5, validation=0), ValueError, "validation"),
    ],
)
def test_what_has_no_trials_to_draw_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
