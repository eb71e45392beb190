"""Seeded noise, the same on every runtime.

Row i of ``normal(seeds, size)`` depends on ``seeds[i]`` alone, so a sample does not change with the
batch that it is computed in, nor with the machine or the runtime. The generator is Philox4x32-10 of
Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3", section 3.3, with the seed as the
key and a block number as the counter.
"""

import numpy as np

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORD = 2**32
_LOW = _WORD - 1


def philox(counter, key):
    """Philox4x32-10, on NumPy arrays or TensorFlow tensors.

    Only ``+ * // & ^`` of int64 are used, which mean the same in both libraries: products wrap
    modulo 2**64, and ``x // 2**32 & (2**32 - 1)`` is the high word whatever the sign.

    Args:
        counter: four int64 arrays of one shape, each a 32-bit word.
        key: two int64 arrays that broadcast with them.

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
    """Four int64 arrays (n, blocks) of 24 random bits, from int64 seeds of shape (n, 1) and block numbers (1, blocks)."""
    zero = (seeds + blocks) * 0
    words = philox((zero + blocks, zero, zero, zero), (seeds & _LOW, seeds // _WORD))
    return [word // 2**8 for word in words]


def uniform(seeds, size: int) -> np.ndarray:
    """Uniform noise: float64 ``(n, size)`` in (0, 1), row i from ``seeds[i]`` alone.

    Args:
        seeds: int64 ``(n,)``, 0 <= seed < 2**63.
        size: numbers a row.
    """
    seeds = np.asarray(seeds, np.int64)[:, None]
    blocks = np.arange(-(-size // 4), dtype=np.int64)[None]
    with np.errstate(over="ignore"):
        words = np.stack(_words(seeds, blocks), axis=-1)
    return ((words + 0.5) / 2**24).reshape(len(seeds), -1)[:, :size]


def normal(seeds, size: int) -> np.ndarray:
    """Standard normal noise: float32 ``(n, size)``, row i from ``seeds[i]`` alone.

    Pairs of uniforms become pairs of normals by the transform of Box and Muller (1958), computed in
    float64.

    Args:
        seeds: int64 ``(n,)``, 0 <= seed < 2**63.
        size: numbers a row, the model's ``latent_dim``.
    """
    u = uniform(seeds, -(-size // 4) * 4)
    radius, angle = np.sqrt(-2 * np.log(u[:, 0::2])), 2 * np.pi * u[:, 1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return pairs.reshape(len(u), -1)[:, :size].astype(np.float32)


def uniform_tensor(seeds, size: int):
    """Computes ``uniform`` in a TensorFlow graph, int64 ``(n,)`` to float64 ``(n, size)``."""
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
