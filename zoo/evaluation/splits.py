"""Images that a model is measured on, by their role."""

import functools

from zoo.data import Binarized, Source, for_model


class Splits:
    """Images that a model is measured on: the roles "test", "train" and "validation".

    Each split is read at first use and kept.

    Args:
        load: Callable that returns the ``Source`` of a split's name.
        names: {role: name of the split}; a role without images is left out.
    """

    def __init__(self, load, names: dict):
        self._load = functools.cache(load)
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
        return cls(lambda split: recipe.source(split, data_dir), names)

    @classmethod
    def of_source(cls, source: Source) -> "Splits":
        """Returns a source of held-out images in the role of the test images."""
        return cls(lambda _: source, {"test": "held-out images"})

    def source(self, role: str) -> Source:
        """Returns the source of a role."""
        return self._load(self.names[role])

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
