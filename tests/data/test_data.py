"""Tests of data sources on real images: order, seeds, shards, binarization, refused data."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests.conftest import FIXTURE
from zoo import data
from zoo.data import tfds, views
from zoo.data.memory import MemorySource
from zoo.models import CVAE, VAE


@pytest.mark.parametrize("name", ["binarized_mnist", "fashion_mnist", "mnist"])
def test_named_sets_are_images_in_0_1(name):
    source = tfds(name, "train", FIXTURE)
    assert len(source) == 300
    assert source.image_shape == (28, 28, 1)
    images, labels = source.first()
    assert images.shape == (300, 28, 28, 1)
    assert images.dtype == np.float32
    assert images.min() == 0
    assert images.max() == 1
    if name == "binarized_mnist":
        assert labels is None
        assert source.classes is None
        assert set(np.unique(images)) == {0, 1}
    else:
        assert labels.dtype == np.int32
        assert set(labels) == set(range(10))
        assert len(source.classes) == 10
    if name == "fashion_mnist":
        assert source.classes[9] == "Ankle boot"


def test_data_of_the_user_read_like_a_name(digits):
    images, labels = digits
    pixels = np.round(images * 255).astype(np.uint8)
    unbatched = tf.data.Dataset.from_tensor_slices((pixels, labels.astype(np.int64)))
    for given in (
        unbatched,
        unbatched.batch(7),
        (pixels, labels),
        (images, labels),
        data.get((images, labels)),
    ):
        source = data.get(given)
        np.testing.assert_array_equal(source.first()[0], images)
        np.testing.assert_array_equal(source.first()[1], labels)
        assert source.classes == tuple("0123456789")
        np.testing.assert_array_equal(source.first(3)[0], images[:3])
        (batch,) = source.batches(300).take(1)
        np.testing.assert_array_equal(batch[0], images)
    alone = tf.data.Dataset.from_tensor_slices(images).filter(lambda image: True)
    read, none = data.get(alone).first()
    np.testing.assert_array_equal(read, images)
    assert none is None
    tensors = np.full((300, 2), 0.5, np.float32)
    conditions = data.get(tf.data.Dataset.from_tensor_slices((images, tensors))).first()[1]
    np.testing.assert_array_equal(conditions, tensors)


def take(dataset, n):
    return [tuple(part.numpy() for part in row) for row in dataset.take(n)]


def test_an_epoch_has_each_image_once_in_an_order_of_its_own(digits):
    images, _ = digits
    rows = take(MemorySource(images, np.arange(300)).batches(100, seed=1), 6)
    first, second = (
        np.concatenate([row[1] for row in rows[start : start + 3]]) for start in (0, 3)
    )
    assert sorted(first) == sorted(second) == list(range(300))
    assert (first != second).any()
    np.testing.assert_array_equal(rows[0][0], images[rows[0][1]])


@pytest.mark.parametrize("binarized", [False, True])
def test_the_same_seed_gives_the_same_batches_and_a_later_step_continues(digits, binarized):
    source = MemorySource(*digits)
    source = data.Binarized(source) if binarized else source

    def rows(seed, start_step=0, n=8):
        return take(source.batches(100, seed, start_step), n)

    for one, two in zip(rows(1), rows(1)):
        np.testing.assert_array_equal(one[0], two[0])
    for start in (1, 3, 5):
        for one, two in zip(rows(1)[start:], rows(1, start)):
            np.testing.assert_array_equal(one[0], two[0])
    assert (rows(1)[0][1] != rows(2)[0][1]).any()


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("binarized", [False, True])
def test_shards_are_slices_of_the_same_batches(digits, binarized, seed):
    source = MemorySource(*digits)
    source = data.Binarized(source) if binarized else source
    n = 3 if seed is None else 6
    whole = take(source.batches(130, seed), n)
    shards = [take(source.batches(130, seed, shard=(i, 3)), n) for i in range(3)]
    for row, *parts in zip(whole, *shards):
        for column in range(2):
            np.testing.assert_array_equal(
                np.concatenate([part[column] for part in parts]), row[column]
            )
        assert max(len(part[0]) for part in parts) <= 44


def test_dynamic_binarization_draws_anew_with_the_grey_values_as_means(digits):
    images = digits[0][:1].repeat(4, axis=0)
    source = data.Binarized(MemorySource(images))
    drawn = np.stack([row.numpy() for row in source.batches(4, seed=0).take(500)])
    assert set(np.unique(drawn)) == {0, 1}
    mean = drawn.reshape(2000, -1).mean(axis=0)
    grey = images[0].ravel()
    between = (grey > 0.05) & (grey < 0.95)
    z = (mean - grey)[between] / np.sqrt(grey * (1 - grey) / 2000)[between]
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert (mean[grey == 0] == 0).all()
    assert (mean[grey == 1] == 1).all()


def test_fixed_binarization_is_one_draw_for_each_image(digits):
    images = digits[0]
    drawn = views.binarize(images, seed=3)
    np.testing.assert_array_equal(drawn, views.binarize(images, seed=3))
    np.testing.assert_array_equal(drawn[7:], views.binarize(images[7:], seed=10))
    assert set(np.unique(drawn)) == {0, 1}
    spread = np.sqrt((images * (1 - images)).sum())
    assert abs(drawn.sum() - images.sum()) < 4 * spread
    source = data.Binarized(MemorySource(images))
    np.testing.assert_array_equal(source.first(10)[0], views.binarize(images[:10]))
    rows = np.concatenate(list(source.batches(128)))
    np.testing.assert_array_equal(rows, views.binarize(images))


def test_without_a_seed_it_is_one_pass_in_order(digits):
    rows = list(MemorySource(digits[0]).batches(128))
    assert [len(row) for row in rows] == [128, 128, 44]
    np.testing.assert_array_equal(np.concatenate(rows), digits[0])


def test_a_patch_of_each_image_is_the_condition_of_a_model_that_asks_for_it(digits):
    model = CVAE(latent_dim=2, hidden=(4,), condition_shape=(14, 14, 1), condition_at=(14, 0))
    source = data.for_model(MemorySource(*digits), model)
    images, patches = source.first(5)
    np.testing.assert_array_equal(patches, images[:, 14:, :14])
    (images, patches), *_ = take(source.batches(100, seed=0), 1)
    np.testing.assert_array_equal(patches, images[:, 14:, :14])


def test_a_second_fit_continues_with_new_epochs(digits):
    """Compares two calls of ``fit`` with one of as many epochs."""
    source, weights = data.Binarized(MemorySource(*digits)), []
    for epochs in ([2], [1, 1]):
        keras.utils.set_random_seed(0)
        model = VAE(latent_dim=2, hidden=(8,))
        for number in epochs:
            model.fit(source, batch_size=100, epochs=number, verbose=0)
        weights.append(model.get_weights())
    for one, two in zip(*weights):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_labels_are_not_needed_to_adapt_a_conditional_model(digits):
    CVAE(latent_dim=2, hidden=(4,), num_classes=10).adapt(digits[0])


def test_a_model_is_trained_and_measured_on_a_source(digits):
    source = MemorySource(*digits)
    model = CVAE(latent_dim=2, hidden=(8,), num_classes=10)
    history = model.fit(source, batch_size=50, epochs=3, validation_data=source, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert len(history["val_loss"]) == 3
    by_source = model.evaluate(source, batch_size=100, verbose=0, return_dict=True)
    by_arrays = model.evaluate(*digits, batch_size=100, verbose=0, return_dict=True)
    assert by_source["loss"] == pytest.approx(by_arrays["loss"], rel=1e-5)
    with pytest.raises(ValueError, match="y must not be given with a zoo"):
        model.fit(source, digits[1], verbose=0)
    with pytest.raises(ValueError, match="y must not be given with a zoo"):
        model.fit(source, validation_data=(source, digits[1]), verbose=0)
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1"):
        model.fit(source, batch_size=0, verbose=0)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda: tfds("mnist_", data_dir=FIXTURE),
            ValueError,
            "dataset must be a name of tensorflow-datasets.*; received: 'mnist_'",
        ),
        (
            lambda: tfds("mnist", "tset", FIXTURE),
            ValueError,
            "split must be a split of mnist, which has test of 100 images, train",
        ),
        (
            lambda: data.get(tf.data.Dataset.range(3)),
            ValueError,
            "must be images \\(height, width, channels\\) or pairs",
        ),
        (
            lambda: data.get(tf.data.Dataset.from_tensor_slices(np.full((2, 2, 2, 1), 7.0))),
            ValueError,
            "must be in \\[0, 1\\]; received: values from 7 to 7",
        ),
        (
            lambda: data.get((np.zeros((2, 2, 2, 1)), np.ones((2, 2, 2), int))),
            ValueError,
            "Conditions must be integer labels",
        ),
        (
            lambda: data.get((np.zeros((2, 2, 2, 1)), np.zeros(3, int))),
            ValueError,
            "Conditions must be one for each of 2 images",
        ),
        (lambda: MemorySource(np.zeros((2, 2, 2, 1)), 3), ValueError, "one for each of 2 images"),
        (
            lambda: MemorySource(np.zeros((2, 2, 2, 1))).first(-1),
            ValueError,
            "must be an integer of at least 1; received: -1",
        ),
        (
            lambda: data.get(tf.data.Dataset.from_tensor_slices(np.zeros((2, 2, 2, 1))).repeat()),
            ValueError,
            "The data set must end",
        ),
        (lambda: data.get("mnist"), ValueError, "Data must be images .*; received: 'mnist'"),
        (
            lambda: data.get(np.zeros((2, 2, 2))),
            ValueError,
            "images must be .*; received: \\(2, 2, 2\\)",
        ),
        (
            lambda: MemorySource(np.zeros((3, 2, 2, 1)), [0, 1, 2], classes=["a", "b"]),
            ValueError,
            "classes must name each of the 3 labels; received: 2 names",
        ),
        (
            lambda: MemorySource(np.zeros((3, 2, 2, 1))).batches(4, seed=0),
            ValueError,
            "batch_size must be at most 3, the number of images; received: 4",
        ),
        (
            lambda: MemorySource(np.zeros((3, 2, 2, 1))).batches(1, shard=(2, 2)),
            ValueError,
            "shard must be \\(index, count\\)",
        ),
        (
            lambda: data.for_model(MemorySource(np.zeros((3, 2, 2, 1))), VAE()),
            ValueError,
            "image_shape of the data must be \\(28, 28, 1\\).*received: \\(2, 2, 1\\)",
        ),
        (
            lambda: data.for_model(
                MemorySource(np.zeros((3, 28, 28, 1))), CVAE(latent_dim=2, num_classes=2)
            ),
            ValueError,
            "labels from 0 to 1 for this conditional model; received: images without labels",
        ),
        (
            lambda: data.for_model(
                MemorySource(np.zeros((3, 28, 28, 1)), [0, 1, 2]), CVAE(latent_dim=2, num_classes=2)
            ),
            ValueError,
            "labels from 0 to 1 for this conditional model; received: 3 classes",
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
    sentence = f"mnist is not in {tmp_path}.*cannot be downloaded.*TFDS_DATA_DIR or --data-dir"
    with pytest.raises(FileNotFoundError, match=sentence):
        tfds("mnist", data_dir=str(tmp_path))
    assert not any(tmp_path.rglob("*.tfrecord*"))


@pytest.mark.data
@pytest.mark.nightly
def test_the_whole_sets_have_their_published_sizes():
    assert len(tfds("mnist", "train")) == 60_000
    assert len(tfds("mnist", "test")) == 10_000
    assert len(tfds("binarized_mnist", "validation")) == 10_000
