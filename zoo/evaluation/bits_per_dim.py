"""Bits per dimension of 8-bit images."""

import math

import numpy as np
import tensorflow as tf

from zoo.evaluation.likelihood import given_condition, mean_over_images
from zoo.evaluation.metric import Metric, mean_of


class BitsPerDimension(Metric):
    """Mean of −log₂ P(image), divided by the number of values of an image.

    It is the length of an ideal code for the image, in bits for each value, and can be compared
    with the size of a PNG file.
    """

    methods = ("log_likelihood",)
    on_first_images = True

    def validate(self, model, data):
        """Validates that the model has probabilities of grey levels, if its likelihood is known."""
        super().validate(model, data)
        likelihood = getattr(model, "likelihood", None)
        if likelihood is not None and "bits_per_dim" not in likelihood.evaluation_metrics:
            raise ValueError(
                "bits_per_dim must be measured on a flow or a model with the likelihood "
                f"'discretized_logistic'; received: {type(likelihood).__name__}."
            )

    def measure(self, model, data, *, samples=None, images=None, progress=None):
        """Measures on the first ``images`` images, or all.

        A variational model is measured with ``samples`` importance samples, and a flow with one
        draw of the dequantization noise for each image.
        """
        settings = {"samples": samples} if samples else {}
        values = math.prod(model.image_shape)
        if model.condition_at:
            values -= math.prod(model.condition_shape)

        def log_likelihood(rows, given, start):
            found = model.log_likelihood(rows, seed=start, **settings, **given)
            return found / (values * math.log(2))

        drawn = f"{samples} importance samples" if samples else "one draw of the noise"
        return mean_over_images(log_likelihood, model, data, images, progress) | {
            "protocol": f"bits for each of the {values} values of an 8-bit image; {drawn} for each "
            f"image{given_condition(model)}"
        }


class PngBitsPerDimension(Metric):
    """Mean size of the test images as PNG files, in bits for each value of an image.

    It is comparable with ``bits_per_dim``: a PNG file is a lossless code for the image.
    """

    on_first_images = True

    def measure(self, model, data, *, images=None, progress=None):
        """Measures on the first ``images`` images, or all. The model is not used."""
        rows, _ = data.images("test").first(images)
        sizes = []
        for image in np.uint8(np.round(rows * 255)):
            sizes.append(8 * len(tf.io.encode_png(image, compression=9).numpy()) / image.size)
            if progress and len(sizes) % 1000 == 0:
                progress(len(sizes), len(rows))
        return mean_of(sizes) | {
            "split": data.described("test", images),
            "protocol": f"size of a PNG file, bits for each of the {rows[0].size} values of an "
            "8-bit image; compression level 9",
        }


METRICS = {"bits_per_dim": BitsPerDimension(), "bits_per_dim_png": PngBitsPerDimension()}
