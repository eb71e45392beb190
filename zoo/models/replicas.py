"""Training on several replicas: random numbers of a global batch, and logs of several workers.

A global batch is divided among the replicas of a ``tf.distribute`` strategy in order: the first
replica has its first rows, and so on. The functions of random numbers draw a replica's
rows of the numbers that one replica would draw for the whole batch. Replicas therefore draw
different numbers, and the noise of a training does not depend on their number.
"""

import tensorflow as tf

# Number of Philox among TensorFlow's algorithms, and the bytes that it draws at each count.
PHILOX = 1
BLOCK = 16


def count() -> int:
    """Returns the number of replicas of the current strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def size_of_each(batch_size: int, replicas: int) -> int:
    """Returns the number of images of a global batch that each replica gets.

    Raises:
        ValueError: If the batch cannot be divided equally.
    """
    if batch_size % replicas:
        raise ValueError(
            f"batch_size must be a multiple of {replicas}, the number of replicas, because it is "
            f"the size of the global batch; received: {batch_size}."
        )
    return batch_size // replicas


def index():
    """Returns the index of the current replica, 0 outside of a strategy's ``run``."""
    context = tf.distribute.get_replica_context()
    return 0 if context is None else context.replica_id_in_sync_group


def normal(shape, seed, dtype=tf.float32):
    """Draws a replica's rows of ``tf.random.stateless_normal`` for the global batch.

    Args:
        shape: Shape of the replica's part, with the rows as the first axis. All replicas have
            equally many rows.
        seed: int ``(2,)``, the same on all replicas.
        dtype: float32 or float64.
    """
    return _rows(tf.raw_ops.StatelessRandomNormalV2, shape, seed, dtype.size, dtype=dtype)


def uniform(shape, seed, low=0.0, high=1.0, dtype=tf.float32):
    """Draws a replica's rows of ``tf.random.stateless_uniform`` for the global batch.

    Args:
        shape: As in ``normal``.
        seed: As in ``normal``.
        low: Lower bound, included.
        high: Upper bound, excluded.
        dtype: float32 or float64.
    """
    drawn = _rows(tf.raw_ops.StatelessRandomUniformV2, shape, seed, dtype.size, dtype=dtype)
    return drawn * (high - low) + low


def integers(shape, seed, low: int, high: int):
    """Draws a replica's rows of int32 numbers of ``tf.random.stateless_uniform``.

    Arguments as in ``uniform``.
    """
    bounds = {"minval": tf.constant(low), "maxval": tf.constant(high)}
    return _rows(tf.raw_ops.StatelessRandomUniformIntV2, shape, seed, tf.int32.size, **bounds)


def _rows(draw, shape, seed, bytes_of_each, **settings):
    size = tf.reduce_prod(tf.cast(shape, tf.int64))
    start, block = tf.cast(index(), tf.int64) * size, BLOCK // bytes_of_each
    before = start % block
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    counter += tf.cast(tf.stack([start // block, 0]), tf.uint64)
    drawn = draw(shape=[size + before], key=key, counter=counter, alg=PHILOX, **settings)
    return tf.reshape(drawn[before:], shape)


def reducible(value):
    """Returns a scalar of a replica's logs in the form that Keras can reduce.

    With several workers Keras reduces logs over their first axis, which a scalar does not have.
    """
    extended = tf.distribute.get_strategy().extended
    return tf.reshape(value, [1]) if getattr(extended, "_num_workers", 1) > 1 else value
