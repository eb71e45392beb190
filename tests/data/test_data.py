"""Tests of data sets on real images: order, seeds, binarization, and refused arguments."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests.conftest import FIXTURE
from zoo import datasets


@pytest.mark.parametrize("name", datasets.NAMES)
def test_named_sets_are_images_in_0_1(name):
    images, labels = datasets.load(name, "train", FIXTURE)
    assert images.shape == (300, 28, 28, 1)
    assert images.dtype == np.float32
    assert images.min() == 0
    assert images.max() == 1
    if name == "binarized_mnist":
        assert labels is None
        assert set(np.unique(images)) == {0, 1}
    else:
        assert labels.dtype == np.int32
        assert set(labels) == set(range(10))


def test_a_dataset_of_the_user_reads_like_a_name(digits):
    images, labels = digits
    pixels = tf.data.Dataset.from_tensor_slices(
        (np.round(images * 255).astype(np.uint8), labels.astype(np.int64))
    )
    read = datasets.load(pixels)
    np.testing.assert_array_equal(read[0], images)
    np.testing.assert_array_equal(read[1], labels)
    alone, none = datasets.load(
        tf.data.Dataset.from_tensor_slices(images).filter(lambda image: True)
    )
    np.testing.assert_array_equal(alone, images)
    assert none is None
    tensors = np.zeros((300, 2), np.float32) + 0.5
    beside = datasets.load(tf.data.Dataset.from_tensor_slices((images, tensors)))[1]
    np.testing.assert_array_equal(beside, tensors)


def take(dataset, n):
    return [tuple(part.numpy() for part in row) for row in dataset.take(n)]


def test_an_epoch_has_each_image_once_in_an_order_of_its_own(digits):
    images, _ = digits
    rows = take(datasets.batches(images, np.arange(300), batch_size=100, seed=1), 6)
    first, second = (
        np.concatenate([row[1] for row in rows[start : start + 3]]) for start in (0, 3)
    )
    assert sorted(first) == sorted(second) == list(range(300))
    assert (first != second).any()
    np.testing.assert_array_equal(rows[0][0], images[rows[0][1]])


def test_the_same_seed_gives_the_same_batches_and_a_later_epoch_goes_on(digits):
    def rows(seed, first_epoch=0, n=6):
        return take(
            datasets.batches(
                *digits, batch_size=100, seed=seed, dynamic=True, first_epoch=first_epoch
            ),
            n,
        )

    for one, two in zip(rows(1), rows(1)):
        np.testing.assert_array_equal(one[0], two[0])
    for one, two in zip(rows(1)[3:], rows(1, first_epoch=1)):
        np.testing.assert_array_equal(one[0], two[0])
    assert (rows(1)[0][1] != rows(2)[0][1]).any()


def test_dynamic_binarization_draws_anew_with_the_grey_values_as_means(digits):
    images = digits[0][:1].repeat(4, axis=0)
    drawn = np.stack(
        [
            row.numpy()
            for row in datasets.batches(images, batch_size=4, seed=0, dynamic=True).take(500)
        ]
    )
    assert set(np.unique(drawn)) == {0, 1}
    mean = drawn.reshape(2000, -1).mean(axis=0)
    grey = images[0].ravel()
    between = (grey > 0.05) & (grey < 0.95)
    z = (mean - grey)[between] / np.sqrt(grey * (1 - grey) / 2000)[between]
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert (mean[grey == 0] == 0).all()
    assert (mean[grey == 1] == 1).all()


def test_fixed_binarization_is_one_draw_a_row(digits):
    images = digits[0]
    drawn = datasets.binarize(images, seed=3)
    np.testing.assert_array_equal(drawn, datasets.binarize(images, seed=3))
    np.testing.assert_array_equal(drawn[7:], datasets.binarize(images[7:], seed=10))
    assert set(np.unique(drawn)) == {0, 1}
    spread = np.sqrt((images * (1 - images)).sum())
    assert abs(drawn.sum() - images.sum()) < 4 * spread


def test_without_a_seed_it_is_one_pass_in_order(digits):
    rows = list(datasets.batches(digits[0], batch_size=128))
    assert [len(row) for row in rows] == [128, 128, 44]
    np.testing.assert_array_equal(np.concatenate(rows), digits[0])


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda: datasets.load("mnist_", data_dir=FIXTURE),
            ValueError,
            "no data set 'mnist_'.*the zoo uses",
        ),
        (
            lambda: datasets.load("mnist", "tset", FIXTURE),
            ValueError,
            "no split 'tset'; it has test of 100 images, train",
        ),
        (
            lambda: datasets.load(tf.data.Dataset.range(3)),
            ValueError,
            "elements image or \\(image, label\\)",
        ),
        (
            lambda: datasets.load(tf.data.Dataset.from_tensor_slices(np.full((2, 2, 2, 1), 7.0))),
            ValueError,
            "lie in \\[0, 1\\]",
        ),
        (
            lambda: datasets.load(
                tf.data.Dataset.from_tensor_slices((np.zeros((2, 2, 2, 1)), np.eye(2, dtype=int)))
            ),
            ValueError,
            "an integer label or a float tensor",
        ),
        (
            lambda: datasets.batches(np.zeros((3, 2, 2, 1)), batch_size=4, seed=0),
            ValueError,
            "batch of 4 images does not fit",
        ),
        (
            lambda: datasets.batches(np.zeros((3, 2, 2, 1)), batch_size=1, dynamic=True),
            ValueError,
            "give a seed",
        ),
    ],
)
def test_errors_say_what_is_right(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


def test_without_data_and_network_the_error_says_where_it_looked(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    with pytest.raises(
        FileNotFoundError,
        match=f"mnist is not in {tmp_path}.*cannot be downloaded.*TFDS_DATA_DIR or --data-dir",
    ):
        datasets.load("mnist", data_dir=str(tmp_path))
    assert not any(tmp_path.rglob("*.tfrecord*"))


@pytest.mark.data
@pytest.mark.nightly
def test_the_whole_sets_have_their_published_sizes():
    assert len(datasets.load("mnist", "train")[0]) == 60_000
    assert len(datasets.load("mnist", "test")[0]) == 10_000
    assert len(datasets.load("binarized_mnist", "validation")[0]) == 10_000
