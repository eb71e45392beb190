"""Images that a model is measured on, by their role."""

import functools
from dataclasses import dataclass

import numpy as np

from zoo.catalog import FOLDER
from zoo.data import Binarized, MemorySource, Source, WithPatch, for_model, tfds
from zoo.evaluation.classifiers import predicted, shipped, shipped_name

# Samples up to this number are kept, because several metrics need them.
KEPT = 10_000
# Images whose features are computed at once.
BATCH = 1000


@dataclass(frozen=True)
class Drawn:
    """Samples of a model as a classifier sees them.

    Attributes:
        features: float32 ``(n, d)``.
        predicted: Most probable labels, int64 ``(n,)``, or values of attributes ``(n, k)``.
        labels: Labels that the samples were drawn with, int32 ``(n,)``, or None.
        condition: Conditions that they were drawn with, ``(n, …)``, or None.
    """

    features: np.ndarray
    predicted: np.ndarray
    labels: np.ndarray | None
    condition: np.ndarray | None


class Splits:
    """Images that a model is measured on: the roles "test", "train" and "validation".

    Each split is read at first use and kept.

    Args:
        load: Callable that returns the ``Source`` of a split's name.
        names: {role: name of the split}; a role without images is left out.
        prepare: Callable that makes of these images the ones that the model is trained on, for
            example by binarization. By default they are the same.
        features: Callable that returns the classifier whose features and labels metrics use, a
            model with ``classify``, or None if there is none. It is called at first use.
        features_name: Name of the classifier, for the protocols of metrics.
        data_dir: Folder in which tensorflow-datasets keeps its data.
    """

    def __init__(
        self, load, names: dict, prepare=None, features=None, features_name="", data_dir=None
    ):
        self._load = functools.cache(load)
        self._prepare = prepare or (lambda images: images)
        self.names = {role: name for role, name in names.items() if name}
        self._classifier, self.features_name = features or (lambda: None), features_name
        self._data_dir, self._drawn = data_dir, (None, {}, {})
        self.features = functools.cache(self._features)

    @classmethod
    def of_recipe(
        cls, recipe, data_dir=None, test=None, features=None, features_name=""
    ) -> "Splits":
        """Returns the splits of a recipe's data set.

        Args:
            recipe: The recipe.
            data_dir: Folder in which tensorflow-datasets keeps its data.
            test: Split in the role of the test images. Defaults to that of the recipe.
            features: The classifier whose features metrics use. None is the one that is shipped for
                the data set, if there is one.
            features_name: As in the constructor.
        """
        if features is None:
            is_folder = recipe.dataset.startswith(FOLDER)
            features_name = "" if is_folder else shipped_name(recipe.dataset)
        return cls(
            lambda split: recipe.images(split, data_dir),
            {"test": test or recipe.test, "train": recipe.split, "validation": recipe.validation},
            recipe.prepared,
            lambda: shipped(recipe.dataset) if features is None else features,
            features_name,
            data_dir,
        )

    @classmethod
    def of_source(cls, source: Source) -> "Splits":
        """Returns a source of held-out images in the role of the test images."""
        return cls(lambda _: source, {"test": "held-out images"})

    @functools.cached_property
    def classifier(self):
        """Classifier whose features and labels metrics use, or None. It is loaded at first use."""
        return self._classifier()

    def images(self, role: str) -> Source:
        """Returns the images of a role as the data set has them."""
        return self._load(self.names[role])

    def source(self, role: str) -> Source:
        """Returns the images of a role as the model is trained on them."""
        return self._prepare(self.images(role))

    def prepared(self, images: np.ndarray) -> np.ndarray:
        """Returns images ``(n, height, width, channels)`` as the model is trained on them."""
        return self._prepare(MemorySource(images)).first()[0]

    def others(self, dataset: str) -> Source:
        """Returns the test images of another data set of tensorflow-datasets."""
        return tfds(dataset, "test", self._data_dir)

    def _features(self, classifier, role: str) -> np.ndarray:
        """Returns a classifier's features of the images of a role, float32 ``(n, d)``."""
        source = self.images(role)
        # In batches, because all images as float32 may need gigabytes.
        batches = source.batches(min(BATCH, len(source))).as_numpy_iterator()
        images = (batch[0] if isinstance(batch, tuple) else batch for batch in batches)
        return np.concatenate([classifier.classify(part)[1] for part in images])

    def deviation(self, classifier) -> np.float32:
        """Returns the root of the mean variance of a classifier's features of the test images."""
        variances = self.features(classifier, "test").var(axis=0, dtype=np.float64)
        return np.float32(np.sqrt(variances.mean()))

    def samples(self, model, start: int, n: int) -> Drawn:
        """Draws samples with the seeds from ``start`` and the conditions of the test images.

        The condition of sample i is that of test image i, counted in turn. The first ``KEPT``
        samples of a model are kept.

        Args:
            model: On any runtime.
            start: First seed.
            n: Number of samples.
        """
        if self._drawn[0] is not model:
            self._drawn = model, {}, self._conditions(model)
        _, kept, given = self._drawn
        if (start, n) in kept:
            return kept[start, n]
        rows = start + np.arange(n)
        given = {name: values[rows % len(values)] for name, values in given.items()}
        logits, features = self.classifier.classify(model.sample(n, seed=start, **given))
        found = predicted(self.classifier, logits)
        drawn = Drawn(features, found, given.get("labels"), given.get("condition"))
        if start + n <= KEPT:
            kept[start, n] = drawn
        return drawn

    def forget_samples(self) -> None:
        """Discards the samples that are kept, because the weights of the model have changed."""
        self._drawn = None, {}, {}

    def _conditions(self, model) -> dict:
        """Returns the conditions of the test images for a model, {} if it has no condition."""
        if model.num_classes or model.condition_shape:
            return self.first("test", model)[1]
        return {}

    @property
    def for_calibration(self) -> Source:
        """Images for calibration: training images, or held-out ones if there are no others."""
        return self.source("train" if "train" in self.names else "test")

    @property
    def binarized(self) -> bool:
        """Whether the test images are binarized."""
        return isinstance(self.source("test"), Binarized)

    def first(self, role: str, model, n: int | None = None) -> tuple:
        """Returns the first n images of a role, or all, and the conditions that a model takes.

        Returns:
            (images, given): float32 ``(n, height, width, channels)``, and {"labels": …},
            {"condition": …} or {} for a method of the model.

        Raises:
            ValueError: If the model cannot be measured on these images, see
                ``zoo.data.for_model``.
        """
        images, conditions = for_model(self.source(role), model).first(n)
        if model.num_classes:
            return images, {"labels": conditions}
        return images, {"condition": conditions} if model.condition_shape else {}

    def condition_of(self, images, model) -> dict:
        """Returns the condition that is a part of images, {"condition": …}, or {}."""
        if not model.condition_at:
            return {}
        view = WithPatch(MemorySource(images), model.condition_at, model.condition_shape)
        return {"condition": view.first()[1]}

    def described(self, role: str, n: int | None = None) -> str:
        """Returns the name of a role's split, or of its first n images."""
        fewer = n is not None and n < len(self.source(role))
        return f"{self.names[role]}[:{n}]" if fewer else self.names[role]
