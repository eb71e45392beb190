"""Tests of the source that streams a data set from the disk, on the images of MNIST."""

import numpy as np
import pytest

from tests.conftest import FIXTURE
from zoo.data import MemorySource, named, tfds
from zoo.data.stream import StreamSource


@pytest.fixture(scope="module")
def stream():
    return tfds("mnist", "train", FIXTURE, in_memory=False)


def images_of(batches):
    return [images.numpy() for images, _ in batches]


def test_a_pass_in_order_has_the_images_of_the_source_in_memory(stream):
    kept = tfds("mnist", "train", FIXTURE)
    assert isinstance(stream, StreamSource)
    assert isinstance(kept, MemorySource)
    assert (len(stream), stream.image_shape, stream.classes) == (300, (28, 28, 1), kept.classes)
    for settings in ({}, {"start_step": 2}, {"shard": (1, 3)}):
        both = [list(source.batches(70, **settings)) for source in (stream, kept)]
        for one, other in zip(*both, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])
    for one, other in zip(stream.first(90), kept.first(90)):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(stream.first()[0], kept.first()[0])


@pytest.mark.parametrize("buffer", [10_000, 64])
def test_each_epoch_has_each_image_once_in_an_order_of_its_own(stream, buffer, monkeypatch):
    monkeypatch.setattr("zoo.data.stream.BUFFER", buffer)
    steps = stream.steps_per_epoch(50)
    batches = images_of(stream.batches(50, seed=3).take(2 * steps))
    epochs = [np.concatenate(batches[:steps]), np.concatenate(batches[steps:])]
    everything = {image.tobytes() for image in stream.first()[0]}
    for epoch in epochs:
        assert {image.tobytes() for image in epoch} == everything
    assert not np.array_equal(*epochs)
    assert not np.array_equal(epochs[0], stream.first()[0])


@pytest.mark.parametrize("start", [2, 6, 9])
def test_the_same_seed_gives_the_same_batches_and_a_later_step_continues(stream, start):
    batches = images_of(stream.batches(50, seed=3).take(11))
    later = images_of(stream.batches(50, seed=3, start_step=start).take(11 - start))
    np.testing.assert_array_equal(later, batches[start:])
    assert not np.array_equal(images_of(stream.batches(50, seed=4).take(1))[0], batches[0])


def test_shards_are_slices_of_the_same_batches(stream):
    batches = images_of(stream.batches(50, seed=3).take(2))
    shards = [images_of(stream.batches(50, seed=3, shard=(i, 3)).take(2)) for i in range(3)]
    for whole, *parts in zip(batches, *shards):
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_images_of_another_size_and_in_colour():
    for kept in (True, False):
        source = tfds(
            "mnist", "test", FIXTURE, image_size=(32, 32), color_mode="rgb", in_memory=kept
        )
        images, labels = source.first(20)
        assert images.shape == (20, 32, 32, 3)
        np.testing.assert_array_equal(images[..., 0], images[..., 2])
        small, expected = tfds("mnist", "test", FIXTURE).first(20)
        np.testing.assert_array_equal(labels, expected)
        np.testing.assert_allclose(
            images.mean(axis=(1, 2, 3)), small.mean(axis=(1, 2, 3)), rtol=0.05
        )
    unlabelled = tfds("mnist", "test", FIXTURE, labels=None)
    assert unlabelled.classes is None
    assert unlabelled.first(3)[1] is None


@pytest.mark.parametrize("settings", [{}, {"labels": None}, {"in_memory": False}])
def test_binary_images_are_black_and_white(settings):
    images, _ = tfds("binarized_mnist", "test", FIXTURE, **settings).first(20)
    np.testing.assert_array_equal(np.unique(images), [0, 1])


def test_names_of_classes_are_checked():
    names = [str(digit) for digit in range(10)]
    assert tfds("mnist", "test", FIXTURE, class_names=names).classes == tuple(names)
    with pytest.raises(ValueError, match="class_names must be the labels of mnist"):
        tfds("mnist", "test", FIXTURE, class_names=["cats", "dogs"])


def test_arguments_of_a_folder_alone_are_refused():
    with pytest.raises(ValueError, match=r"must be arguments of zoo\.data\.tfds; received: strict"):
        named("mnist", "test", FIXTURE, {"strict": True})
