"""Methods that every runtime shares.

They validate the arguments, draw noise, and run a model's signatures in batches. A runtime
implements ``compute``, which runs one signature on one batch, and sets the attributes that describe
the model. It has the methods of the signatures that the model has, so that a new family needs no
code here. Imports only NumPy.
"""

import numpy as np

from zoo.inference import noise, pictures, validation

BATCH = 256
# Grey levels of an 8-bit image.
LEVELS = 256


class Conditional:
    """Base class that validates conditions and runs signatures in batches of ``BATCH`` rows.

    Attributes:
        image_shape: (height, width, channels).
        latent_dim: Length of z, or None if the model has no latent variables.
        num_classes: Number of labels, or None if the model is not conditional on a label.
        condition_shape: Shape of one condition, or None if the model is not conditional on a
            tensor.
        condition_at: (row, column) of a condition that is a part of the image, with values in
            [0, 1], or None.
        attributes: {attribute: names of its values} of a model that is conditional on several
            categorical attributes, or None. A condition is then int32 ``(k,)``, the numbers of the
            values, and ``condition_shape`` is (k,).
        picture_fit: ``zoo.utils.image_files.Fit`` by which the pictures of the training became
            images, or None.
    """

    image_shape: tuple
    latent_dim: int | None = None
    num_classes: int | None = None
    condition_shape: tuple | None = None
    condition_at: tuple | None = None
    attributes: dict | None = None
    picture_fit = None

    def compute(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs one signature on validated arrays of at most ``BATCH`` rows.

        Args:
            signature: Name of the signature.
            inputs: {input: array}.

        Returns:
            {output: array}.
        """
        raise NotImplementedError

    def has(self, signature: str) -> bool:
        """Returns whether the model has a signature."""
        raise NotImplementedError

    def input_images(self, signature: str, images: np.ndarray) -> np.ndarray:
        """Converts images k / 255 to the images that a signature takes, which are the same."""
        return images

    def _images(self, images):
        images = pictures.decoded(images, self.image_shape, self.picture_fit)
        return {"images": validation.images(images, self.image_shape)}

    def _answer(self, signature, inputs, labels, condition) -> dict[str, np.ndarray]:
        """Runs a signature on inputs of any number of rows and the condition."""
        n = len(next(iter(inputs.values())))
        return self._in_batches(signature, inputs | self._conditioning(n, labels, condition))

    def _in_batches(self, signature, inputs) -> dict[str, np.ndarray]:
        n = len(next(iter(inputs.values())))
        batches = [
            self.compute(
                signature, {name: rows[start : start + BATCH] for name, rows in inputs.items()}
            )
            for start in range(0, n, BATCH)
        ]
        return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}

    def _conditioning(self, n, labels, condition) -> dict[str, np.ndarray]:
        """Returns the inputs of the condition, {"label": …}, {"condition": …} or {}."""
        if labels is not None and not self.num_classes:
            raise ValueError(
                "labels must be None, because this model is not conditional on a label."
            )
        if condition is not None and not self.condition_shape:
            raise ValueError(
                "condition must be None, because this model is conditional neither on a tensor nor "
                "on attributes."
            )
        if self.num_classes:
            if labels is None:
                raise ValueError(
                    "labels must be given for this model: one integer from 0 to "
                    f"{self.num_classes - 1}, or one for each image."
                )
            return {"label": validation.labels(labels, n, self.num_classes)}
        if self.condition_shape:
            if condition is None and not self.attributes:
                shape = ", ".join(map(str, self.condition_shape))
                raise ValueError(
                    f"condition must be given for this model: an array of shape (n, {shape})."
                )
            return {"condition": validation.condition(condition, self, n)}
        return {}

    def _complete(self, condition, numbers):
        """Returns a condition in which attributes that are not given vary with numbers ``(n,)``."""
        if not self.attributes:
            return condition
        return validation.attribute_values(condition, self.attributes, len(numbers), numbers)


class Decodes(Conditional):
    """Methods of the signature ``decode``."""

    def sample(self, n: int, labels=None, *, seed=0, condition=None) -> np.ndarray:
        """Draws n images, decode(prior(normal(seed))).

        Args:
            n: Number of images.
            labels: One label for all images, or n labels. With None, the image of seed s has the
                label s mod num_classes.
            seed: Integer with 0 <= seed < 2**63. Row i depends only on seed + i and its label. An
                array of n integers gives each row its own seed.
            condition: For a model that is conditional on a tensor, one condition for all images, or
                n conditions. For a model that is conditional on attributes, {attribute: name of a
                value, or n names}; attributes that are not given vary with the seed. The numbers of
                the values, integers ``(k,)`` or ``(n, k)``, may be given instead.

        Returns:
            float32 ``(n, height, width, channels)`` in [0, 1].

        Raises:
            ValueError: If an argument is not as above.
        """
        z, labels, condition = self._noise_and_conditions(n, labels, condition, seed)
        if self.has("prior"):
            z = self._answer("prior", {"noise": z}, labels, condition)["z"]
        return self.decode(z, labels, condition=condition)

    def _noise_and_conditions(self, n, labels, condition, seed):
        """Returns the noise of n samples, ``(n, latent_dim)``, their labels and conditions."""
        seeds = validation.seeds(seed, validation.positive_int(n))
        if labels is None and self.num_classes:
            labels = seeds % self.num_classes
        z = noise.normal(seeds, self.latent_dim)
        return z, labels, self._complete(condition, seeds)

    def decode(self, z, labels=None, *, condition=None) -> np.ndarray:
        """Computes the images of latent vectors.

        Args:
            z: float ``(n, latent_dim)``.
            labels: One label for all images, or n labels. With None, the label of row i is
                i mod num_classes.
            condition: As in ``sample``, where attributes that are not given vary with the number of
                the row.

        Returns:
            float32 ``(n, height, width, channels)`` in [0, 1].

        Raises:
            ValueError: If an argument is not as above.
        """
        z = validation.rows(z, (self.latent_dim,), "z")
        if labels is None and self.num_classes:
            labels = np.arange(len(z)) % self.num_classes
        condition = self._complete(condition, np.arange(len(z)))
        return self._answer("decode", {"z": z}, labels, condition)["images"]


class Encodes(Conditional):
    """Methods of the signature ``encode``.

    A conditional model needs the labels or conditions of the images.
    """

    def encode(self, images, labels=None, *, condition=None):
        """Computes the latent variables of images.

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1], or paths of picture files.
            labels: One label for all images, or n labels.
            condition: For a model that is conditional on a tensor, one condition for all images, or
                n conditions. For a model that is conditional on attributes, as in
                ``Decodes.sample``, but no attribute may be missing.

        Returns:
            For a variational model (mean, log_var) of the posterior q(z | x), a normal distribution
            with a diagonal covariance matrix; log_var is the natural logarithm of the variance. For
            a flow only z. Each is float32 ``(n, latent_dim)``.

        Raises:
            ValueError: If an argument is not as above.
        """
        answer = self._answer("encode", self._images(images), labels, condition)
        return answer["z"] if "z" in answer else (answer["mean"], answer["log_var"])

    def interpolate(self, a, b, steps: int = 8, labels=None, *, condition=None) -> np.ndarray:
        """Decodes the straight line between the latent vectors of two images.

        Args:
            a: Image ``(height, width, channels)``, or n of them, in [0, 1]; or paths of picture
                files.
            b: Image or images of the same shape, in [0, 1]; or as many paths.
            steps: Number of images along each line, including both ends; at least 2.
            labels: One label for all pairs, or one for each.
            condition: As in ``encode``, one for all pairs, or one for each.

        Returns:
            float32 ``(steps, height, width, channels)`` for two images, ``(n, steps, height, width,
            channels)`` for two batches.

        Raises:
            ValueError: If an argument is not as above.
        """
        if validation.positive_int(steps, "steps") < 2:
            raise ValueError("steps must be at least 2, to include both ends; received: 1.")
        if np.shape(a) != np.shape(b):
            raise ValueError(
                f"a and b must be of the same shape; received: {np.shape(a)} and {np.shape(b)}."
            )
        # A path has no dimensions.
        single = np.ndim(a) in (0, len(self.image_shape))
        ends = []
        for end in (a, b):
            images = [end] if single else end
            encoded = self.encode(images, labels, condition=condition)
            ends.append(encoded[0] if isinstance(encoded, tuple) else encoded)
        first, last = ends
        n = len(first)
        weights = np.linspace(0, 1, steps, dtype=np.float32)[None, :, None]
        line = first[:, None] * (1 - weights) + last[:, None] * weights
        line = line.reshape(n * steps, self.latent_dim)
        repeated = {
            name: np.repeat(rows, steps, axis=0)
            for name, rows in self._conditioning(n, labels, condition).items()
        }
        decoded = self.decode(line, repeated.get("label"), condition=repeated.get("condition"))
        decoded = decoded.reshape(n, steps, *self.image_shape)
        return decoded[0] if single else decoded


class Reconstructs(Conditional):
    """Method of the signature ``reconstruct``."""

    def reconstruct(self, images, labels=None, *, condition=None) -> np.ndarray:
        """Decodes the posterior mean of each image. A flow returns the image itself.

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1], or paths of picture files.
            labels: As in ``Encodes.encode``.
            condition: As in ``Encodes.encode``.

        Returns:
            float32 ``(n, height, width, channels)`` in [0, 1].

        Raises:
            ValueError: If an argument is not as above.
        """
        return self._answer("reconstruct", self._images(images), labels, condition)["images"]


class Scores(Conditional):
    """Method of the signature ``score``."""

    def score(self, images, labels=None, *, condition=None) -> np.ndarray:
        """Computes an anomaly score in nats, without random numbers.

        For a variational model it is −log p(x | z) − log p(z) + log q(z | x) at the posterior
        mean z. For a normal prior the last two terms are the divergence in closed form.

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1], or paths of picture files.
            labels: As in ``Encodes.encode``.
            condition: As in ``Encodes.encode``.

        Returns:
            float32 ``(n,)``, higher for images that are less similar to the training data.

        Raises:
            ValueError: If an argument is not as above.
        """
        return self._answer("score", self._images(images), labels, condition)["score"]


class LogPrior(Conditional):
    """Method of the signature ``log_prior``, which a model has if its prior is not N(0, I)."""

    def log_prior(self, z, labels=None, *, condition=None) -> np.ndarray:
        """Computes log p(z), or log p(z | y) for a conditional model, in nats.

        Args:
            z: float ``(n, latent_dim)``.
            labels: One label for all rows, or n labels.
            condition: As in ``Encodes.encode``.

        Returns:
            float32 ``(n,)``.

        Raises:
            ValueError: If an argument is not as above.
        """
        z = validation.rows(z, (self.latent_dim,), "z")
        return self._answer("log_prior", {"z": z}, labels, condition)["log_prob"]


class Classifies(Conditional):
    """Method of the signature ``classify``."""

    def classify(self, images) -> tuple[np.ndarray, np.ndarray]:
        """Computes the logits of the labels and the features that they are computed from.

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1], or paths of picture files.

        Returns:
            (logits, features): float32 ``(n, num_classes)``, the logarithm of each label's
            probability up to a constant, and float32 ``(n, features)``. The logits of a classifier
            of attributes are those of all attributes in their order, side by side.

        Raises:
            ValueError: If an argument is not as above.
        """
        answer = self._in_batches("classify", self._images(images))
        return answer["logits"], answer["features"]


class ExactLikelihood(Decodes, Encodes, Reconstructs):
    """Methods of the signature ``log_likelihood``, which a flow has.

    Its signature ``encode`` takes a dequantized image x = (k + u) / 256 in [0, 1]. The methods take
    images k / 255 and use u = ½, the middle of the grey level.
    """

    def sample(
        self, n: int, labels=None, *, seed=0, condition=None, temperature: float = 1.0
    ) -> np.ndarray:
        """Draws n images, decode(temperature * normal(seed)).

        Args:
            n: As in ``Decodes.sample``.
            labels: As in ``Decodes.sample``.
            seed: As in ``Decodes.sample``.
            condition: As in ``Decodes.sample``.
            temperature: Standard deviation of z. Below 1 the images are more typical and less
                varied.

        Returns:
            float32 ``(n, height, width, channels)`` in [0, 1].

        Raises:
            ValueError: If an argument is not as above.
        """
        temperature = validation.positive_number(temperature, "temperature")
        z, labels, condition = self._noise_and_conditions(n, labels, condition, seed)
        return self.decode(np.float32(temperature) * z, labels, condition=condition)

    def encode(self, images, labels=None, *, condition=None) -> np.ndarray:
        """Computes z of images, exactly.

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1], or paths of picture files.
            labels: As in ``Encodes.encode``.
            condition: As in ``Encodes.encode``.

        Returns:
            float32 ``(n, latent_dim)``.

        Raises:
            ValueError: If an argument is not as above.
        """
        x = self.input_images("encode", self._images(images)["images"])
        return self._answer("encode", {"images": x}, labels, condition)["z"]

    def reconstruct(self, images, labels=None, *, condition=None) -> np.ndarray:
        """Encodes and decodes images, which returns the images in 8 bits.

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1], or paths of picture files.
            labels: As in ``Encodes.encode``.
            condition: As in ``Encodes.encode``.

        Returns:
            float32 ``(n, height, width, channels)`` in [0, 1].

        Raises:
            ValueError: If an argument is not as above.
        """
        z = self.encode(images, labels, condition=condition)
        given = self._conditioning(len(z), labels, condition)
        x = self.decode(z, given.get("label"), condition=given.get("condition"))
        return np.minimum(np.floor(x * LEVELS), LEVELS - 1) / np.float32(LEVELS - 1)

    def log_likelihood(self, images, labels=None, *, seed=0, condition=None) -> np.ndarray:
        """Estimates a lower bound of log P of 8-bit images with one noise u for each.

        It is log p(x) − log q(u | image) − d log 256, in expectation at most log P(image)
        (Theis et al. 2016, arXiv 1511.01844, section 3.1). Bits per dimension are minus that
        divided by d log 2, and d is the number of values of an image.

        Args:
            images: float ``(n, height, width, channels)`` in [0, 1], or paths of picture files.
            labels: As in ``Encodes.encode``.
            seed: The noise of row i depends only on seed + i. An array of n integers gives each row
                its own seed.
            condition: As in ``Encodes.encode``.

        Returns:
            float32 ``(n,)`` in nats.

        Raises:
            ValueError: If an argument is not as above.
        """
        images = self._images(images)["images"]
        seeds, log_q = validation.seeds(seed, len(images)), 0.0
        if self.has("dequantize"):
            normal = noise.normal(seeds, self.latent_dim)
            answer = self._in_batches("dequantize", {"images": images, "noise": normal})
            x, log_q = answer["images"], answer["log_prob"]
        else:
            u = np.float32(noise.uniform(seeds, self.latent_dim))
            x = self._dequantized(images, u.reshape(images.shape))
        log_prob = self._answer("log_likelihood", {"images": x}, labels, condition)["log_prob"]
        return log_prob - log_q - np.float32(self.latent_dim * np.log(LEVELS))

    def input_images(self, signature, images):
        """Dequantizes images with u = ½ for the signatures of the density."""
        if signature in ("encode", "log_likelihood"):
            return self._dequantized(images, 0.5)
        return images

    @staticmethod
    def _dequantized(images, u):
        return np.float32((np.round(images * (LEVELS - 1)) + u) / LEVELS)


METHODS = {
    # Its methods replace those of the classes below.
    "log_likelihood": ExactLikelihood,
    "decode": Decodes,
    "encode": Encodes,
    "reconstruct": Reconstructs,
    "score": Scores,
    "log_prior": LogPrior,
    "classify": Classifies,
}


def from_card(card, runtime):
    """Returns a model with the methods of the signatures that its card lists.

    Args:
        card: A ``zoo.Card``.
        runtime: Callable, ``runtime(signature, inputs)``.
    """
    # The card of an earlier version does not list the signatures.
    signatures = list(card.signatures) or runtime.signatures
    kinds = tuple(kind for signature, kind in METHODS.items() if signature in signatures)
    model = type(card.family, kinds, {"__doc__": f"{card.family} on a runtime without Keras."})()
    model.image_shape, model.latent_dim = card.image_shape, card.latent_dim
    model.num_classes = card.num_classes
    condition = card.condition or {}
    model.condition_shape = tuple(condition["shape"]) if condition.get("shape") else None
    model.condition_at = tuple(condition["at"]) if condition.get("at") else None
    model.attributes = condition.get("attributes")
    model.compute = runtime
    model.has = signatures.__contains__
    return model
