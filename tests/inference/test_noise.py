"""Tests of seeded noise against Random123's test vectors and an implementation with integers."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from zoo.inference import noise


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (
            "ffffffff ffffffff ffffffff ffffffff",
            "ffffffff ffffffff",
            "408f276d 41c83b0e a20bc7c6 6d5451fd",
        ),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_vectors_of_random123(counter, key, expected):
    with np.errstate(over="ignore"):
        out = noise.philox(
            [np.array([w]) for w in words(counter)], [np.array([w]) for w in words(key)]
        )
    assert [int(word[0]) for word in out] == words(expected)


def plain_normals(seed, size):
    """Returns the normal variates of a seed, computed with Python's unbounded integers."""
    numbers = []
    for block in range(-(-size // 4)):
        counter, key = [block, 0, 0, 0], [seed % 2**32, seed >> 32]
        for _ in range(10):
            a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
            counter = [
                (b >> 32) ^ counter[1] ^ key[0],
                b % 2**32,
                (a >> 32) ^ counter[3] ^ key[1],
                a % 2**32,
            ]
            key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
        u = [((word >> 8) + 0.5) / 2**24 for word in counter]
        for u1, u2 in (u[:2], u[2:]):
            radius = math.sqrt(-2 * math.log(u1))
            numbers += [radius * math.cos(2 * math.pi * u2), radius * math.sin(2 * math.pi * u2)]
    return numbers[:size]


SEEDS = np.array([0, 1, 12345, 2**32 - 1, 2**32, 2**63 - 1])


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_normals_follow_the_definition_on_both_libraries(size):
    expected = np.array([plain_normals(int(seed), size) for seed in SEEDS], np.float32)
    np.testing.assert_allclose(noise.normal(SEEDS, size), expected, rtol=0, atol=1e-7)
    in_graph = tf.function(
        lambda seeds: noise.normal_tensor(seeds, size),
        input_signature=[tf.TensorSpec([None], tf.int64)],
    )
    np.testing.assert_allclose(in_graph(tf.constant(SEEDS)), expected, rtol=0, atol=1e-6)


def test_a_row_depends_on_its_seed_alone():
    np.testing.assert_array_equal(noise.normal(np.arange(16), 32)[5], noise.normal([5], 32)[0])
    np.testing.assert_array_equal(noise.normal([5], 7), noise.normal([5], 32)[:, :7])


def test_noise_is_uniform_and_normal():
    assert stats.kstest(noise.uniform(np.arange(2000), 10).ravel(), "uniform").pvalue > 0.01
    assert stats.kstest(noise.normal(np.arange(2000), 10).ravel(), "norm").pvalue > 0.01
