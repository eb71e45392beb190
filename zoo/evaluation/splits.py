"""Images that a model is measured on, by their role."""

import functools

from zoo.data import Binarized, Source, for_model


class Splits:
    """Images that a model is measured on: the roles "test", "train" and "validation".

    Each split is read at first use and kept.

    Args:
        load: Callable that returns the ``Source`` of a split's name.
        names: {role: name of the split}; a role without images is left out.
        prepare: Callable that makes of these images the ones that the model is trained on, for
            example by binarization. By default they are the same.
    """

    def __init__(self, load, names: dict, prepare=None):
        self._load = functools.cache(load)
        self._prepare = prepare or (lambda images: images)
        self.names = {role: name for role, name in names.items() if name}

    @classmethod
    def of_recipe(cls, recipe, data_dir=None, test="test") -> "Splits":
        """Returns the splits of a recipe's data set.

        Args:
            recipe: The recipe.
            data_dir: Folder in which tensorflow-datasets keeps its data.
            test: Split in the role of the test images.
        """
        names = {"test": test, "train": recipe.split, "validation": recipe.validation}
        return cls(lambda split: recipe.images(split, data_dir), names, recipe.prepared)

    @classmethod
    def of_source(cls, source: Source) -> "Splits":
        """Returns a source of held-out images in the role of the test images."""
        return cls(lambda _: source, {"test": "held-out images"})

    def images(self, role: str) -> Source:
        """Returns the images of a role as the data set has them."""
        return self._load(self.names[role])

    def source(self, role: str) -> Source:
        """Returns the images of a role as the model is trained on them."""
        return self._prepare(self.images(role))

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

    def described(self, role: str, n: int | None = None) -> str:
        """Returns the name of a role's split, or of its first n images."""
        fewer = n is not None and n < len(self.source(role))
        return f"{self.names[role]}[:{n}]" if fewer else self.names[role]
