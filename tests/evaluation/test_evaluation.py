"""Tests of metrics against scikit-learn, SciPy, and published values for real MNIST."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, logsumexp
from scipy.stats import norm
from sklearn.neighbors import KernelDensity, KNeighborsClassifier

from tests.conftest import FIXTURE
from zoo import datasets, evaluation, recipes
from zoo.evaluation import neighbors
from zoo.evaluation.likelihood import decoded_likelihood
from zoo.evaluation.parzen import log_density, parzen

RECIPE = replace(recipes.named("cdcgan_mnist"), split="train[:200]", validation="train[200:]")


def drawing(images, num_classes=10):
    """Returns a model whose sample for seed s is ``images[s]``."""
    return SimpleNamespace(
        num_classes=num_classes,
        sample=lambda n, seed=0: images[np.arange(seed, seed + n) % len(images)],
    )


def test_parzen_density_is_scikit_learns(rng):
    images, centers = rng.random((40, 4, 3, 1), "float32"), rng.random((70, 4, 3, 1), "float32")
    ours = log_density(images, centers, [0.1, 0.3])
    for bandwidth, row in zip([0.1, 0.3], ours):
        density = KernelDensity(bandwidth=bandwidth, rtol=0).fit(
            centers.reshape(70, -1).astype(float)
        )
        np.testing.assert_allclose(
            row, density.score_samples(images.reshape(40, -1).astype(float)), rtol=1e-4, atol=1e-3
        )


def test_parzen_chooses_the_bandwidth_on_validation_images(digits):
    """Compares with float64 NumPy, because scikit-learn's trees are inexact in 784 dimensions."""
    metric = parzen(drawing(digits[0]), RECIPE, samples=150, data_dir=FIXTURE)
    centers, validation = (
        x.reshape(len(x), -1).astype(float) for x in (digits[0][:150], digits[0][200:])
    )
    test = datasets.load("mnist", "test", FIXTURE)[0].reshape(100, -1).astype(float)

    def scores(images, s):
        squares = ((images[:, None] - centers) ** 2).sum(axis=-1)
        return (
            logsumexp(-squares / (2 * s**2), axis=1)
            - np.log(150)
            - 784 * np.log(s * np.sqrt(2 * np.pi))
        )

    chosen = max(np.logspace(-1, 0, 10), key=lambda s: scores(validation, s).mean())
    expected = scores(test, chosen)
    assert metric["value"] == pytest.approx(expected.mean(), rel=1e-4)
    assert metric["stderr"] == pytest.approx(expected.std(ddof=1) / 10, rel=1e-4)
    assert (metric["n"], metric["split"]) == (100, "test")


@pytest.mark.parametrize("chunk", [20_000, 7])
def test_nearest_neighbor_error_is_scikit_learns(digits, chunk, monkeypatch):
    """Compares one chunk and many, because samples that exceed the memory come in chunks."""
    monkeypatch.setattr(neighbors, "CHUNK", chunk)
    monkeypatch.setattr(neighbors, "ROWS", max(2, chunk // 3))
    seen = []
    metric = neighbors.nearest_neighbor(
        drawing(digits[0]),
        RECIPE,
        samples=250,
        data_dir=FIXTURE,
        progress=lambda *numbers: seen.append(numbers),
    )
    images, labels = datasets.load("mnist", "test", FIXTURE)
    classifier = KNeighborsClassifier(1).fit(digits[0][:250].reshape(250, -1), np.arange(250) % 10)
    error = 1 - classifier.score(images.reshape(100, -1), labels)
    assert metric["value"] == pytest.approx(100 * error)
    assert metric["stderr"] == pytest.approx(100 * np.sqrt(error * (1 - error) / 100))
    assert seen[-1] == (250, 250)
    real = neighbors.nearest_neighbor(drawing(digits[0]), RECIPE, samples=None, data_dir=FIXTURE)
    classifier = KNeighborsClassifier(1).fit(digits[0][:200].reshape(200, -1), digits[1][:200])
    assert real["value"] == pytest.approx(
        100 * (1 - classifier.score(images.reshape(100, -1), labels))
    )


def test_coverage_shows_a_collapsed_model(digits):
    images, labels = digits
    whole = neighbors.class_shares(images[:200], images[:200], labels[:200])
    np.testing.assert_allclose(whole, np.bincount(labels[:200], minlength=10) / 200)
    collapsed = images[labels == 3][:1].repeat(50, axis=0)
    np.testing.assert_array_equal(neighbors.class_shares(collapsed, images, labels), np.eye(10)[3])
    least = neighbors.coverage(drawing(collapsed), RECIPE, samples=50, data_dir=FIXTURE)
    most = neighbors.coverage(
        drawing(collapsed), RECIPE, samples=50, data_dir=FIXTURE, largest=True
    )
    assert (least["value"], most["value"]) == (0, 100)
    assert least["n"] == 50


@pytest.mark.parametrize("condition_at", [None, (14, 0)])
def test_decoded_likelihood_is_the_integral_over_z(condition_at, rng):
    """Uses one latent variable, so that SciPy can integrate p(x) over it."""
    center, slope = rng.normal(-2, 1, (28, 28, 1)), rng.normal(0, 0.1, (28, 28, 1))
    model = SimpleNamespace(
        image_shape=(28, 28, 1),
        latent_dim=1,
        condition_shape=(14, 14, 1),
        condition_at=condition_at,
        encode=lambda images, **_: (
            np.full((len(images), 1), 0.1),
            np.full((len(images), 1), -0.2),
        ),
        decode=lambda z, **_: expit(center + slope * z[:, :, None, None]),
    )
    recipe = recipes.named("cvae_quadrant_mnist" if condition_at else "vae_mnist")
    metric = decoded_likelihood(model, recipe, samples=2000, split="test[:3]", data_dir=FIXTURE)
    grey = datasets.load("mnist", "test", FIXTURE)[0][:3].astype(float)
    images = grey if condition_at else datasets.binarize(grey)
    asked = np.ones((28, 28, 1))
    if condition_at:
        asked[14:, :14] = 0

    def nll(image):
        def log_joint(z):
            p = np.clip(expit(center + slope * z), 1 / 512, 511 / 512)
            return (asked * (image * np.log(p) + (1 - image) * np.log(1 - p))).sum() + norm.logpdf(
                z
            )

        top = max(map(log_joint, np.linspace(-8, 8, 200)))
        return -top - np.log(quad(lambda z: np.exp(log_joint(z) - top), -8, 8, limit=200)[0])

    assert metric["value"] == pytest.approx(np.mean([nll(image) for image in images]), abs=0.1)
    assert (metric["n"], metric["split"]) == (3, "test[:3]")


def test_a_runtime_is_measured_under_a_name_of_its_own(digits):
    recipe = replace(
        RECIPE, best=None, metrics={"coverage": {"samples": 50}, "nearest_neighbor_real": {}}
    )
    (metric,) = evaluation.evaluate(
        drawing(digits[0]), "m", recipe, runtime="litert-int8", data_dir=FIXTURE
    )
    assert metric["name"] == "coverage@litert-int8"
    assert metric["command"] == "zoo evaluate m --metric coverage --runtime litert-int8"
    with pytest.raises(
        ValueError, match="m is not measured by 'nearest_neighbor_real' on the runtime litert"
    ):
        evaluation.evaluate(
            drawing(digits[0]), "m", recipe, ["nearest_neighbor_real"], runtime="litert"
        )


def test_better_knows_which_way_is_up():
    assert evaluation.better("parzen", 2, 1)
    assert evaluation.better("nearest_neighbor", 1, 2)
    assert not evaluation.better("nearest_neighbor", 2, 2)
    assert evaluation.better("parzen", 1, np.nan)
    assert not evaluation.better("parzen", np.nan, 1)


@pytest.mark.data
@pytest.mark.nightly
def test_on_real_mnist_the_error_is_the_published_one():
    """Compares with 3.09% for all 60,000 images; Radford et al. 2015 give 3.1%."""
    recipe = replace(RECIPE, split="train")
    assert neighbors.nearest_neighbor(drawing(np.zeros((1, 28, 28, 1))), recipe, samples=None)[
        "value"
    ] == pytest.approx(3.09, abs=0.01)
