"""Tests of the random numbers of replicas, against those of TensorFlow for the whole batch."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from zoo import data
from zoo.models import DCGAN, GAN, batches, replicas

SEED = (3, 2**40)
DRAWS = {
    "normal": (replicas.normal, tf.random.stateless_normal, {}),
    "normal float64": (replicas.normal, tf.random.stateless_normal, {"dtype": tf.float64}),
    "uniform": (replicas.uniform, tf.random.stateless_uniform, {}),
    "uniform float64": (replicas.uniform, tf.random.stateless_uniform, {"dtype": tf.float64}),
}


@pytest.mark.parametrize(("ours", "theirs", "settings"), DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("shape", [(4, 8), (3, 5, 3), (1, 7)])
def test_replicas_draw_the_rows_of_the_global_batch(shape, ours, theirs, settings, monkeypatch):
    whole = theirs((3 * shape[0], *shape[1:]), SEED, **settings).numpy()
    parts = []
    for i in range(3):
        monkeypatch.setattr(replicas, "index", lambda i=i: i)
        parts.append(ours(shape, SEED, **settings))
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_replicas_draw_the_integers_of_the_global_batch(monkeypatch):
    whole = tf.random.stateless_uniform([6, 5], SEED, -3, 4, dtype=tf.int32)
    monkeypatch.setattr(replicas, "index", lambda: 1)
    np.testing.assert_array_equal(replicas.integers([3, 5], SEED, -3, 4), whole[3:])


class Recorded(data.MemorySource):
    """Source that keeps the shards that are read."""

    shards = ()

    def batches(self, batch_size, seed=None, start_step=0, shard=(0, 1)):
        self.shards += (shard,)
        return super().batches(batch_size, seed, start_step, shard)


def test_workers_read_their_own_shards_of_the_global_batches():
    source = Recorded(np.arange(40, dtype="uint8").reshape(40, 1, 1, 1))
    parts = []
    strategy = SimpleNamespace(
        num_replicas_in_sync=4,
        distribute_datasets_from_function=lambda of_worker: parts.extend(
            of_worker(tf.distribute.InputContext(2, i, 4)) for i in range(2)
        ),
    )
    model = SimpleNamespace(
        distribute_strategy=strategy,
        seed=3,
        steps_done=4,
        image_shape=(1, 1, 1),
        condition_at=None,
        num_classes=None,
        attributes=None,
    )
    batches.on_replicas(model, {"x": source, "batch_size": 8})
    assert source.shards == ((0, 2), (1, 2))
    # Each of the two replicas of a worker takes the next element in turn.
    readers = [part.take(12).as_numpy_iterator() for part in parts]
    whole = source.batches(8, seed=3, start_step=4).take(6).as_numpy_iterator()
    for batch in whole:
        pieces = [next(reader) for reader in readers for _ in range(2)]
        assert [len(piece) for piece in pieces] == [2] * 4
        np.testing.assert_array_equal(np.concatenate(pieces), batch)


def test_a_global_batch_is_divided_equally():
    assert replicas.size_of_each(12, 4) == 3
    message = "batch_size must be a multiple of 4, the number of replicas.*received: 10"
    with pytest.raises(ValueError, match=message):
        replicas.size_of_each(10, 4)


@pytest.mark.parametrize(
    "model",
    [
        lambda: GAN((4, 4, 1), 16, hidden=(16, 16), maxout=((4, 4), (16, 1), (16, 1))),
        lambda: DCGAN((32, 32, 1), 4, filters=(4, 4, 4, 4), num_classes=3),
    ],
    ids=["gan", "dcgan"],
)
def test_layers_of_one_shape_start_from_different_weights(model):
    model = model()
    drawn = [
        weight
        for weight in (*model.generator.get_weights(), *model.discriminator.get_weights())
        if weight.ndim > 1
    ]
    assert len({weight.shape for weight in drawn}) < len(drawn) - 1
    assert len({weight.ravel()[:3].tobytes() for weight in drawn}) == len(drawn)
