"""Seeded noise that is the same on every runtime.

Row i of ``normal(seeds, size)`` depends only on ``seeds[i]``, so that a sample does not depend on
its batch, the machine or the runtime. The generator is Philox4x32-10 of Salmon et al. 2011,
"Parallel Random Numbers: As Easy as 1, 2, 3", section 3.3. The seed is the key and a block number
the counter.
"""

import numpy as np

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORD = 2**32
_LOW = _WORD - 1


def philox(counter, key):
    """Computes Philox4x32-10 on NumPy arrays or TensorFlow tensors.

    Only ``+ * // & ^`` of int64 are used, because they are the same in both libraries: products
    wrap modulo 2**64, and ``x // 2**32 & (2**32 - 1)`` is the high word for either sign.

    Args:
        counter: Four int64 arrays of one shape, each a 32-bit word.
        key: Two int64 arrays that broadcast with them.

    Returns:
        Four int64 arrays, each a word in [0, 2**32).
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (product1 // _WORD & _LOW) ^ c1 ^ k0,
            product1 & _LOW,
            (product0 // _WORD & _LOW) ^ c3 ^ k1,
            product0 & _LOW,
        )
        k0, k1 = k0 + _KEY_INCREMENTS[0] & _LOW, k1 + _KEY_INCREMENTS[1] & _LOW
    return c0, c1, c2, c3


def _words(seeds, blocks):
    """Returns four int64 arrays ``(n, blocks)`` of 24 random bits.

    Args:
        seeds: int64 ``(n, 1)``.
        blocks: Block numbers, int64 ``(1, blocks)``.
    """
    zero = (seeds + blocks) * 0
    words = philox((zero + blocks, zero, zero, zero), (seeds & _LOW, seeds // _WORD))
    return [word // 2**8 for word in words]


def uniform(seeds, size: int) -> np.ndarray:
    """Draws uniform noise. Row i depends only on ``seeds[i]``.

    Args:
        seeds: int64 ``(n,)``, 0 <= seed < 2**63.
        size: Number of values in a row.

    Returns:
        float64 ``(n, size)`` in (0, 1).
    """
    seeds = np.asarray(seeds, np.int64)[:, None]
    blocks = np.arange(-(-size // 4), dtype=np.int64)[None]
    with np.errstate(over="ignore"):
        words = np.stack(_words(seeds, blocks), axis=-1)
    return ((words + 0.5) / 2**24).reshape(len(seeds), -1)[:, :size]


def normal(seeds, size: int) -> np.ndarray:
    """Draws standard normal noise. Row i depends only on ``seeds[i]``.

    The transform of Box and Muller (1958) maps pairs of uniform values to pairs of normal values,
    in float64.

    Args:
        seeds: int64 ``(n,)``, 0 <= seed < 2**63.
        size: Number of values in a row, the model's ``latent_dim``.

    Returns:
        float32 ``(n, size)``.
    """
    u = uniform(seeds, -(-size // 4) * 4)
    radius, angle = np.sqrt(-2 * np.log(u[:, 0::2])), 2 * np.pi * u[:, 1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return pairs.reshape(len(u), -1)[:, :size].astype(np.float32)


def uniform_tensor(seeds, size: int):
    """Draws the noise of ``uniform`` by TensorFlow operations, for a graph.

    Args:
        seeds: int64 tensor ``(n,)``, 0 <= seed < 2**63.
        size: Number of values in a row.

    Returns:
        float64 tensor ``(n, size)`` in (0, 1).
    """
    import tensorflow as tf

    blocks = tf.range(-(-size // 4), dtype=tf.int64)[None]
    words = tf.stack(_words(seeds[:, None], blocks), axis=-1)
    u = (tf.cast(words, tf.float64) + 0.5) / 2**24
    return tf.reshape(u, [tf.shape(seeds)[0], 4 * blocks.shape[1]])[:, :size]


def normal_tensor(seeds, size: int):
    """Computes ``normal`` in a TensorFlow graph, int64 ``(n,)`` to float32 ``(n, size)``."""
    import tensorflow as tf

    u = uniform_tensor(seeds, -(-size // 4) * 4)
    radius, angle = tf.sqrt(-2 * tf.math.log(u[:, 0::2])), 2 * np.pi * u[:, 1::2]
    pairs = tf.stack([radius * tf.cos(angle), radius * tf.sin(angle)], axis=-1)
    return tf.cast(tf.reshape(pairs, tf.shape(u))[:, :size], tf.float32)
