"""Tests of the LiteRT runtime: the number of its threads."""

import os

import numpy as np
import pytest

import zoo
from zoo.inference import litert


@pytest.mark.parametrize("runtime", ["litert", "litert-int8"])
@pytest.mark.parametrize("name", ["cvae_mnist", "dcgan_mnist"])
def test_the_number_of_threads_does_not_change_the_images(name, runtime, monkeypatch):
    images = []
    for threads in ("1", "3"):
        monkeypatch.setenv(litert.THREADS_VARIABLE, threads)
        images.append(zoo.load(name, runtime).sample(100))
    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize(
    ("given", "threads"), [(None, os.cpu_count()), ("", os.cpu_count()), ("7", 7)]
)
def test_the_number_of_threads_is_that_of_the_variable(given, threads, monkeypatch, litert_threads):
    monkeypatch.delenv(litert.THREADS_VARIABLE, raising=False)
    if given is not None:
        monkeypatch.setenv(litert.THREADS_VARIABLE, given)
    zoo.load("cvae_mnist", "litert")
    assert litert_threads == [threads]


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5"])
def test_another_value_of_the_variable_is_one_sentence(given, monkeypatch):
    monkeypatch.setenv(litert.THREADS_VARIABLE, given)
    with pytest.raises(ValueError, match="ZOO_LITERT_THREADS must be an integer of at least 1; re"):
        zoo.load("cvae_mnist", "litert")
