"""The verbs: what a model answers, the same on every runtime.

A runtime supplies ``compute`` (one signature on one batch) and the four attributes that describe the model; arguments are
checked, noise is drawn and batches are cut here, with NumPy alone.
"""

import numpy as np

from zoo import checks, latents

BATCH = 256


class Verbs:
    """Verbs of every family.

    Attributes:
        image_shape: (height, width, channels).
        latent_dim: length of z.
        num_classes: number of labels, or None where the model is not conditional on a label.
        condition_shape: shape of one condition, or None where the model is not conditional on a tensor.
        condition_at: (row, column) where the condition is a patch of the image, in [0, 1]; else None.
    """

    image_shape: tuple
    latent_dim: int
    num_classes: int | None
    condition_shape: tuple | None
    condition_at: tuple | None

    def compute(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs one signature of the contract on arrays that are already checked."""
        raise NotImplementedError

    def sample(self, n: int, labels=None, *, seed=0, condition=None) -> np.ndarray:
        """Draws n images from the prior.

        Args:
            n: number of images.
            labels: one label for all, or n of them. None takes them in turn: the image of seed s gets s mod num_classes.
            seed: row i depends on seed + i alone (and on its label); n integers give each row its own. 0 <= seed < 2**63.
            condition: for a model conditioned on a tensor, one condition for all, or n of them.

        Returns:
            float32 ``(n, height, width, channels)`` in [0, 1].

        Raises:
            ValueError: where an argument is not as above.
        """
        seeds = checks.seeds(seed, checks.count(n))
        if labels is None and self.num_classes:
            labels = seeds % self.num_classes
        return self.decode(latents.normal(seeds, self.latent_dim), labels, condition=condition)

    def decode(self, z, labels=None, *, condition=None) -> np.ndarray:
        """Computes the images of latent vectors.

        Args:
            z: float ``(n, latent_dim)``.
            labels: one label for all, or n of them; None takes 0, 1, 2 … in turn.
            condition: for a model conditioned on a tensor, one condition for all, or n of them.

        Returns:
            float32 ``(n, height, width, channels)`` in [0, 1].

        Raises:
            ValueError: where an argument is not as above.
        """
        z = checks.rows(z, (self.latent_dim,), "z")
        if labels is None and self.num_classes:
            labels = np.arange(len(z)) % self.num_classes
        return self._answer("decode", {"z": z}, labels, condition)["images"]

    def _images(self, images):
        return {"images": checks.images(images, self.image_shape)}

    def _answer(self, signature, inputs, labels, condition) -> dict[str, np.ndarray]:
        n = len(next(iter(inputs.values())))
        inputs = inputs | self._conditioning(n, labels, condition)
        batches = [
            self.compute(signature, {name: rows[start : start + BATCH] for name, rows in inputs.items()})
            for start in range(0, n, BATCH)
        ]
        return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}

    def _conditioning(self, n, labels, condition) -> dict[str, np.ndarray]:
        """Returns the condition as inputs of a signature: {}, {"label": …} or {"condition": …}."""
        if labels is not None and not self.num_classes:
            raise ValueError("This model is not conditional on a label: call it without labels.")
        if condition is not None and not self.condition_shape:
            raise ValueError("This model is not conditional on a tensor: call it without condition.")
        if self.num_classes:
            if labels is None:
                raise ValueError(f"This model needs labels: one number from 0 to {self.num_classes - 1}, or one an image.")
            return {"label": checks.labels(labels, n, self.num_classes)}
        if self.condition_shape:
            if condition is None:
                raise ValueError(
                    f"This model needs condition=, an array of shape (n, {', '.join(map(str, self.condition_shape))})."
                )
            if np.shape(condition) == self.condition_shape:
                condition = np.broadcast_to(condition, (n, *self.condition_shape))
            return {"condition": checks.condition(condition, self, n)}
        return {}


class VariationalVerbs(Verbs):
    """Verbs of the families that infer latent variables. A conditional model needs its labels or condition for each."""

    def encode(self, images, labels=None, *, condition=None) -> tuple[np.ndarray, np.ndarray]:
        """Computes the posterior q(z | x), a diagonal Gaussian.

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1].

        Returns:
            (mean, log_var), each float32 ``(n, latent_dim)``; log_var is the natural logarithm of the variance.

        Raises:
            ValueError: where an argument is not as above.
        """
        answer = self._answer("encode", self._images(images), labels, condition)
        return answer["mean"], answer["log_var"]

    def reconstruct(self, images, labels=None, *, condition=None) -> np.ndarray:
        """Decodes the posterior mean of each image: float32 of the images' shape, in [0, 1]. Errors as in ``encode``."""
        return self._answer("reconstruct", self._images(images), labels, condition)["images"]

    def score(self, images, labels=None, *, condition=None) -> np.ndarray:
        """Anomaly score in nats, float32 ``(n,)``: higher is less like the training data.

        The negative evidence lower bound with z at the posterior mean, so that it is deterministic. Errors as in ``encode``.
        """
        return self._answer("score", self._images(images), labels, condition)["score"]

    def interpolate(self, a, b, steps: int = 8, labels=None, *, condition=None) -> np.ndarray:
        """Decodes the straight line between the posterior means of two images.

        Args:
            a, b: two images ``(height, width, channels)``, or two batches of n, in [0, 1].
            steps: images along each line, both ends included; at least 2.
            labels: one label for all or one a pair.

        Returns:
            float32 ``(steps, height, width, channels)`` for two images, ``(n, steps, height, width, channels)`` for batches.

        Raises:
            ValueError: where an argument is not as above.
        """
        if checks.count(steps, "steps") < 2:
            raise ValueError("steps must be at least 2, the two ends, but it is 1.")
        if np.shape(a) != np.shape(b):
            raise ValueError(f"a and b must have one shape, but theirs are {np.shape(a)} and {np.shape(b)}.")
        single = np.ndim(a) == len(self.image_shape)
        a, b = (np.asarray(x)[None] if single else x for x in (a, b))
        start = self.encode(a, labels, condition=condition)[0]
        end = self.encode(b, labels, condition=condition)[0]
        n = len(start)
        weights = np.linspace(0, 1, steps, dtype=np.float32)[None, :, None]
        line = (start[:, None] * (1 - weights) + end[:, None] * weights).reshape(n * steps, self.latent_dim)
        repeated = {name: np.repeat(rows, steps, axis=0) for name, rows in self._conditioning(n, labels, condition).items()}
        decoded = self.decode(line, repeated.get("label"), condition=repeated.get("condition"))
        decoded = decoded.reshape(n, steps, *self.image_shape)
        return decoded[0] if single else decoded


def from_card(card, runtime) -> Verbs:
    """The verbs of a card's model, answered by a runtime: ``runtime(signature, inputs)`` for ``runtime.signatures``."""
    model = VariationalVerbs() if "encode" in runtime.signatures else Verbs()
    model.image_shape, model.latent_dim = card.image_shape, card.latent_dim
    model.num_classes, model.condition_shape = card.num_classes, card.condition_shape
    model.condition_at = card.recipe["model"].get("condition_at")
    model.compute = runtime
    return model
