"""Tests of the metrics of features against SciPy, scikit-learn, prdc and closed forms."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from prdc import compute_prdc
from scipy.linalg import sqrtm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors

from tests.conftest import FIXTURE
from zoo import evaluation, recipes
from zoo.data import MemorySource
from zoo.evaluation import METRICS, Splits, anomaly, features, jackknife, labels, latents, manifold
from zoo.evaluation.frechet import frechet_distance
from zoo.evaluation.kernel import squared_mmd

RECIPE = replace(recipes.named("cdcgan_mnist"), split="train[:200]", validation="train[200:]")


def classify(images):
    """Returns logits and features that are known functions of the images."""
    flat = np.float64(images).reshape(len(images), -1)
    weights = np.random.default_rng(0).normal(size=(flat.shape[1], 18))
    return np.float32(flat @ weights[:, :10]), np.float32(np.maximum(flat @ weights[:, 10:], 0))


class Projection:
    """Classifier with these logits and features."""

    def classify(self, images):
        return classify(images)


def splits():
    return Splits.of_recipe(RECIPE, FIXTURE, features=Projection(), features_name="a test")


class Drawing:
    """Model whose samples are noisy test images, and that records the calls of ``sample``."""

    num_classes, condition_shape, condition_at, image_shape = 10, None, None, (28, 28, 1)
    attributes = None

    def __init__(self, images):
        self.images, self.calls = images, []

    def sample(self, n, labels=None, *, seed=0):
        self.calls.append((n, labels, seed))
        rows = [np.random.default_rng(seed + i).random((28, 28, 1)) for i in range(n)]
        chosen = self.images[np.arange(seed, seed + n) % len(self.images)]
        return np.float32(0.7 * chosen + 0.3 * np.array(rows))


def normalized(test, other):
    """Returns features of both divided by the root of the mean variance of the first."""
    scale = np.sqrt(test.var(axis=0, dtype=np.float64).mean())
    return test / scale, other / scale


def moments(rows):
    return rows.mean(axis=0), np.cov(rows, rowvar=False)


def scipy_frechet(a, b):
    (mean_a, cov_a), (mean_b, cov_b) = moments(np.float64(a)), moments(np.float64(b))
    root = sqrtm(cov_a @ cov_b).real
    return ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)


def test_frechet_distance_is_scipys(rng):
    a, b = rng.normal(size=(500, 12)), rng.normal(size=(400, 12)) @ rng.normal(size=(12, 12)) + 1
    ours = frechet_distance(*moments(a), *moments(b))
    assert ours == pytest.approx(scipy_frechet(a, b), rel=1e-6)
    assert frechet_distance(*moments(a), *moments(a)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("block", [1000, 30])
def test_frechet_metric_is_scipys_for_any_size_of_the_blocks(digits, block, monkeypatch):
    monkeypatch.setattr(features, "BLOCK", block)
    model, data = Drawing(digits[0]), splits()
    metric = METRICS["frechet"].measure(model, data, samples=200)
    assert max(n for n, *_ in model.calls) <= block
    test = classify(data.images("test").first()[0])[1]
    drawn = classify(Drawing(digits[0]).sample(200))[1]
    assert metric["value"] == pytest.approx(scipy_frechet(*normalized(test, drawn)), rel=1e-4)
    assert metric["stderr"] > 0
    assert metric["n"] == 200


def test_kernel_distance_is_scikit_learns(rng):
    a, b = rng.normal(size=(60, 7)), rng.normal(size=(50, 7)) + 0.5

    def kernel(x, y):
        return polynomial_kernel(x, y, degree=3, gamma=1 / 7, coef0=1)

    within = [kernel(x, x)[~np.eye(len(x), dtype=bool)].mean() for x in (a, b)]
    expected = sum(within) - 2 * kernel(a, b).mean()
    assert squared_mmd(a, b) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_of_one_distribution_is_zero_on_average(rng):
    values = [squared_mmd(*rng.normal(size=(2, 40, 5))) for _ in range(300)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)


@pytest.mark.parametrize("k", [3, 5])
def test_precision_recall_density_and_coverage_are_prdcs(k, rng):
    real, drawn = np.float32(rng.normal(size=(700, 6))), np.float32(rng.normal(size=(800, 6)) * 1.3)
    expected = compute_prdc(real, drawn, nearest_k=k)
    for name, (function, _, _) in manifold.FUNCTIONS.items():
        assert function(real, drawn, k).mean() == pytest.approx(expected[name], abs=1e-6), name


def test_metrics_of_neighbors_use_the_features_of_both(digits):
    model, data = Drawing(digits[0]), splits()
    test = classify(data.images("test").first()[0])[1]
    drawn = classify(Drawing(digits[0]).sample(150))[1]
    for name in ("precision", "coverage"):
        metric = METRICS[name].measure(model, data, samples=150)
        k = manifold.FUNCTIONS[name][1]
        expected = compute_prdc(*normalized(test, drawn), nearest_k=k)[name]
        assert metric["value"] == pytest.approx(expected, abs=0.02)


def test_samples_have_the_conditions_of_the_test_images_and_are_drawn_once(digits):
    model, data = Drawing(digits[0]), splits()
    for name in ("frechet", "kernel", "precision", "diversity"):
        METRICS[name].measure(model, data, samples=200)
    _, expected = data.images("test").first()
    sizes, asked, seeds = zip(*model.calls)
    np.testing.assert_array_equal(seeds, np.cumsum([0, *sizes[:-1]]))
    np.testing.assert_array_equal(np.concatenate(asked), np.tile(expected, 2))


def test_nearest_distances_are_scikit_learns(rng, monkeypatch):
    monkeypatch.setattr(features, "ROWS", 30)
    a, b = np.float32(rng.normal(size=(70, 5)) + 100), np.float32(rng.normal(size=(90, 5)) + 100)
    expected, _ = NearestNeighbors(n_neighbors=1).fit(b).kneighbors(a)
    np.testing.assert_allclose(features.nearest_distances(a, b), expected[:, 0], rtol=1e-3)


def test_memorization_is_zero_for_copies_of_training_images(digits):
    copying = SimpleNamespace(
        num_classes=None,
        condition_shape=None,
        sample=lambda n, seed=0: digits[0][np.arange(seed, seed + n) % 200],
    )
    assert METRICS["memorization"].measure(copying, splits(), samples=100)["value"] < 0.01


def test_the_jackknife_of_a_mean_is_its_closed_form(rng):
    values = rng.normal(size=200)
    estimate = jackknife.estimate_mean(values)
    means = values.reshape(jackknife.GROUPS, -1).mean(axis=1)
    assert estimate["value"] == pytest.approx(values.mean())
    assert estimate["stderr"] == pytest.approx(means.std(ddof=1) / np.sqrt(jackknife.GROUPS))


def test_auroc_is_scikit_learns_also_with_ties(rng):
    normal, anomalous = rng.integers(0, 20, 300) / 4, rng.integers(5, 30, 200) / 4
    expected = roc_auc_score([0] * 300 + [1] * 200, [*normal, *anomalous])
    assert anomaly.auroc(normal, anomalous) == pytest.approx(expected)


def test_anomalies_are_images_with_a_higher_score():
    bright = SimpleNamespace(
        image_shape=(28, 28, 1),
        num_classes=None,
        condition_shape=None,
        condition_at=None,
        attributes=None,
        score=lambda images: images.mean(axis=(1, 2, 3)),
    )
    recipe = replace(recipes.named("vae_fashion_mnist"), binarize=None)
    data = Splits.of_recipe(recipe, FIXTURE)
    noise = METRICS["anomaly_noise"].measure(bright, data)
    assert noise["value"] > 0.9
    assert noise["n"] == 200
    assert METRICS["anomaly_mnist"].measure(bright, data)["value"] < 0.5


def test_the_score_of_a_conditional_model_is_the_least_over_the_labels():
    model = SimpleNamespace(num_classes=3, score=lambda images, label: images[:, 0] * (label - 1.0))
    found = anomaly.scores(model, np.float32([[2.0], [-3.0]]), {})
    np.testing.assert_array_equal(found, [-2, -3])


def test_the_probe_is_logistic_regression(rng):
    centers = rng.normal(size=(4, 6))
    classes = rng.integers(0, 4, 3000)
    rows = np.float32(centers[classes] + rng.normal(size=(3000, 6)))
    theirs = LogisticRegression(C=1e6, max_iter=1000).fit(rows, classes)
    ours = latents.fitted_probe(rows, classes, epochs=100).predict_on_batch(rows).argmax(axis=1)
    assert np.mean(ours == theirs.predict(rows)) > 0.98


def test_active_units_are_those_with_a_varying_mean(rng):
    scale = np.array([1.0, 0.5, 0.05, 0.0])
    model = SimpleNamespace(
        latent_dim=4,
        image_shape=(28, 28, 1),
        num_classes=None,
        condition_shape=None,
        condition_at=None,
        attributes=None,
        encode=lambda images: (rng.normal(size=(len(images), 4)) * scale, None),
    )
    assert METRICS["active_units"].measure(model, splits())["value"] == 2


def test_label_accuracy_counts_the_labels_that_the_classifier_agrees_with(digits):
    data = splits()
    model = Drawing(digits[0])
    metric = METRICS["label_accuracy"].measure(model, data, images=100)
    predicted = classify(Drawing(digits[0]).sample(100))[0].argmax(axis=1)
    expected = 100 * np.mean(predicted == data.images("test").first()[1])
    assert metric["value"] == pytest.approx(expected)
    few = METRICS["label_accuracy"].measure(model, data, images=10)
    assert metric["quick"] == {key: few[key] for key in ("value", "stderr", "n")}


def test_diversity_of_equal_samples_is_zero_and_of_test_images_one(digits):
    data = splits()
    images, _ = data.images("test").first()
    same = Drawing(digits[0])
    same.sample = lambda n, labels=None, *, seed=0: digits[0][labels]
    assert METRICS["diversity"].measure(same, data, samples=100)["value"] == 0
    real = Drawing(digits[0])
    real.sample = lambda n, labels=None, *, seed=0: images[np.arange(seed, seed + n) % 100]
    assert METRICS["diversity"].measure(real, data, samples=100)["value"] == pytest.approx(1)


def test_distances_within_pair_rows_of_one_label(rng):
    rows, classes = rng.normal(size=(9, 3)), np.array([0, 1, 0, 1, 0, 0, 1, 1, 1])
    pairs = [(0, 2), (4, 5), (1, 3), (6, 7)]
    expected = [np.linalg.norm(rows[i] - rows[j]) for i, j in pairs]
    np.testing.assert_allclose(labels.distances_within(rows, classes), expected)


@pytest.mark.nightly
def test_classification_accuracy_is_high_for_real_images_and_low_for_wrong_labels(digits):
    data = splits()
    images, classes = digits
    of_class = [images[classes == label] for label in range(10)]

    def draw(n, asked=None, *, seed=0, shift=0):
        return np.array([of_class[(c + shift) % 10][i % 15] for i, c in enumerate(asked)])

    right = SimpleNamespace(num_classes=10, sample=draw)
    wrong = SimpleNamespace(num_classes=10, sample=lambda *a, **k: draw(*a, **k, shift=1))
    metric = METRICS["classification_accuracy"]
    assert metric.measure(right, data, samples=1500, epochs=4)["value"] > 30
    assert metric.measure(wrong, data, samples=1500, epochs=2)["value"] < 20


@pytest.mark.parametrize("name", ["frechet", "memorization", "label_accuracy"])
def test_a_missing_classifier_is_named(name, digits, monkeypatch):
    data = Splits.of_recipe(replace(RECIPE, dataset="mnist"), FIXTURE)
    monkeypatch.setattr(data, "classifier", None)
    for dataset, end in (
        ("mnist", r"--features`, or publish one as evaluation/classifier_mnist in a folder of ZOO"),
        ("folder:/home/me", r"Name one with `zoo evaluate --features`\.$"),
    ):
        named = Splits.of_recipe(replace(RECIPE, dataset=dataset), FIXTURE)
        monkeypatch.setattr(data, "features_name", named.features_name)
        with pytest.raises(ValueError, match=end):
            evaluation.measure(name, Drawing(digits[0]), data, {})


def test_metrics_of_labels_need_a_conditional_model(digits):
    model = Drawing(digits[0])
    model.num_classes = None
    for name in ("label_accuracy", "diversity", "classification_accuracy"):
        with pytest.raises(ValueError, match="conditional on a label"):
            evaluation.measure(name, model, splits(), {})


def test_few_samples_are_refused(digits):
    with pytest.raises(ValueError, match="samples must be at least 100; received: 3"):
        METRICS["frechet"].measure(Drawing(digits[0]), splits(), samples=3)


def test_real_images_are_measured_although_they_are_fewer_than_the_samples_asked_for():
    metric = METRICS["frechet_real"].measure(Projection(), splits())
    assert metric["n"] == 200
    assert np.isfinite([metric["value"], metric["stderr"]]).all()


def test_samples_are_drawn_again_after_the_weights_have_changed(digits):
    model, data = Drawing(digits[0]), splits()
    before = METRICS["frechet"].measure(model, data, samples=100)["value"]
    model.images = 1 - model.images
    assert METRICS["frechet"].measure(model, data, samples=100)["value"] == before
    data.forget_samples()
    assert METRICS["frechet"].measure(model, data, samples=100)["value"] != before


def test_the_classifier_is_loaded_at_first_use(monkeypatch):
    loaded = []
    monkeypatch.setattr(evaluation.splits, "shipped", loaded.append)
    data = Splits.of_recipe(RECIPE, FIXTURE)
    data.images("test")
    assert loaded == []
    assert data.classifier is None
    assert loaded == ["mnist"]


def test_held_out_images_without_a_classifier_leave_the_metrics_of_features_out(digits):
    data = Splits.of_source(MemorySource(*digits))
    assert data.classifier is None
