"""Base class of generative models, which map latent variables to images."""

import tensorflow as tf

from zoo.inference import noise, validation
from zoo.models.base import ImageModel, num_classes_or_none


class GenerativeModel(ImageModel):
    """Base class of the training classes of adversarial, variational and other models.

    In addition to what ``ImageModel`` requires, a subclass

    - implements ``decode_tensor``, and ``prior_tensor`` if its prior is not N(0, I);
    - extends ``signatures`` by its own, and ``calibration_inputs`` by the inputs of each of these;
    - has "generator" in ``parameters``, the number of those that compute an image.

    Args:
        image_shape: (height, width, channels).
        latent_dim: Length of z.
        **settings: Further arguments of ``ImageModel``.

    Attributes:
        calibrates_on_images: Whether ``calibration_inputs`` needs training images.
    """

    default_signature = "sample"
    has_int8 = True
    calibrates_on_images = False

    def __init__(self, image_shape, latent_dim, **settings):
        super().__init__(image_shape, **settings)
        self.latent_dim = validation.positive_int(latent_dim, "latent_dim")

    def get_config(self):
        """Returns the configuration of ``ImageModel`` and ``latent_dim``."""
        return super().get_config() | {"latent_dim": self.latent_dim}

    def decode_tensor(self, z, condition=None):
        """Computes images ``(n, *image_shape)`` in [0, 1] from z ``(n, latent_dim)``."""
        raise NotImplementedError

    def prior_tensor(self, noise, condition=None):
        """Maps noise ``(n, latent_dim)`` from N(0, I) to z. By default z is the noise itself."""
        return noise

    def signatures(self) -> dict:
        """Returns the signatures of every generative model, see ``ImageModel.signatures``."""
        seed = self.specs("seed", [], tf.int64)
        return {
            "sample": (self._sample, seed),
            "sample_png": (
                lambda *given: {"png_bytes": encode_png(self.nested("sample", *given)["images"])},
                seed,
            ),
            "decode": (
                lambda *given: {"images": self.decode_tensor(*given)},
                self.specs("z", [self.latent_dim]),
            ),
        }

    def _sample(self, seed, *condition):
        """Computes the images of int64 seeds ``(n,)``, decode(prior(normal(seed)))."""
        z = noise.normal_tensor(seed, self.latent_dim)
        if self.has("prior"):
            z = self.nested("prior", z, *condition)["z"]
        return self.nested("decode", z, *condition)

    def calibration_inputs(self, images, condition, noise) -> dict:
        """Returns the inputs with which the activation ranges of an int8 file are measured.

        Args:
            images: float32 ``(n, *image_shape)``, training images, or None if
                ``calibrates_on_images`` is False.
            condition: Condition of the images as inputs of a signature: {}, {"label": int32
                ``(n,)``} or {"condition": float32 ``(n, *condition_shape)``}.
            noise: float32 ``(n, latent_dim)``, standard normal.

        Returns:
            {signature: {input: array of n rows}}, for each signature of a TF Lite file.
        """
        z = self.compute("prior", {"noise": noise} | condition)["z"] if self.has("prior") else noise
        return self.latent_calibration_inputs(z, noise, condition)

    def latent_calibration_inputs(self, z, noise, condition) -> dict:
        """Returns the calibration inputs of the signatures that take z or noise."""
        inputs = {"decode": {"z": z} | condition}
        if self.has("prior"):
            inputs["prior"] = {"noise": noise} | condition
            inputs["log_prior"] = {"z": z} | condition
        return inputs


def dimensions(image_shape, latent_dim, num_classes) -> tuple:
    """Validates and returns ``image_shape``, ``latent_dim`` and ``num_classes``.

    Raises:
        ValueError: If one of them is not made of positive integers; ``num_classes`` may be None.
    """
    validation.positive_int(latent_dim, "latent_dim")
    return validation.image_shape(image_shape), latent_dim, num_classes_or_none(num_classes)


def encode_png(images):
    """Encodes float images ``(n, height, width, channels)`` in [0, 1] as PNG, strings ``(n,)``."""
    return tf.io.encode_png(tf.cast(tf.round(images * 255), tf.uint8))
