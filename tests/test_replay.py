"""Steps as recorded graphs, without a device: a recorder that runs again, in place, what was recorded."""

import pytest
import torch

from alrnn import ALRNN, tasks
from alrnn.tasks import Batch
from alrnn.train import Trainer
from alrnn.train.replay import Replay


class Recorder:
    """As a CUDA graph: `replay` repeats the recorded operations on the same memory, whatever it holds by then."""

    def record(self, function):
        self.function, self.result = function, tuple(x.clone() for x in function())
        return self.result

    def replay(self):
        for own, new in zip(self.result, self.function(), strict=True):
            own.copy_(new)


class Unrecordable:
    def record(self, function):
        function()
        raise RuntimeError("operation not permitted when stream is capturing")


def batches(n, B=5):
    g = torch.Generator().manual_seed(0)
    return [tasks.Adding(10).sample(B, g) for _ in range(n)]


def compute(batch: Batch):
    return batch.s.sum((1, 2)) * 2, batch.info["marked"].float().sum(1)


def test_a_replay_computes_each_batch_anew_and_keeps_earlier_results():
    replay, data = Replay(compute, Recorder), batches(6)
    results = [replay(batch) for batch in data]
    for found, batch in zip(results, data, strict=True):
        for x, y in zip(found, compute(batch), strict=True):
            assert torch.equal(x, y)


def test_batches_of_another_shape_run_as_they_are():
    replay, (first, second), (other,) = Replay(compute, Recorder), batches(2), batches(1, B=7)
    for batch in (first, other, second):
        assert torch.equal(replay(batch)[0], compute(batch)[0])


def test_what_cannot_be_recorded_runs_step_by_step_and_says_so_once():
    replay, data = Replay(compute, Unrecordable), batches(3)
    with pytest.warns(UserWarning, match="cannot be a CUDA graph and runs step by step: operation not permitted"):
        assert torch.equal(replay(data[0])[0], compute(data[0])[0])
    for batch in data[1:]:  # a second warning would be an error here
        assert torch.equal(replay(batch)[0], compute(batch)[0])


@pytest.mark.parametrize("lr", [1e-2, [1e-2, 3e-3, 1e-3, 1e-2]])
def test_training_by_replays_equals_training(lr):
    """All but the device: from the second step on `_advance` would take the replay's loss, norm and gradient."""
    task, runs = tasks.Adding(12), []
    for recorded in (False, True):
        nets = [ALRNN(2, 6, P, 1, seed, "slow") for P in (0, 2) for seed in (0, 1)]
        trainer = Trainer(nets, task, steps=30, lr=lr, tau=0.01)
        if recorded:
            trainer._replay = Replay(trainer._replay.compute, Recorder)
            plain = trainer._compute

            def step(batch, state=None, trainer=trainer, plain=plain):
                return (*trainer._replay(batch), None) if trainer.step else plain(batch, state)

            trainer._replay.compute = lambda batch, plain=plain: plain(batch)[:3]
            trainer._compute = step
        history = trainer.run(progress=False)
        runs.append((history.loss, history.grad_norm, trainer.stack.theta.detach()))
    for x, y in zip(*runs, strict=True):
        assert torch.equal(torch.as_tensor(x), torch.as_tensor(y))
