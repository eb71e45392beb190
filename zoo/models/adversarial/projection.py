"""Projection of images onto a generator: the z whose image is nearest."""

import keras
import numpy as np
import tensorflow as tf

from zoo.inference import noise, validation

# Images that are projected at once.
ROWS = 128


def project(model, images, label, starts, steps, learning_rate, seed) -> np.ndarray:
    """Minimizes the mean squared error between decode(z) and each image by gradient descent in z.

    Args:
        model: AdversarialModel.
        images: float32 ``(n, *image_shape)`` in [0, 1].
        label: int32 labels ``(n,)``, or None.
        starts: Number of random z. The descent starts from the one whose image is nearest.
        steps: Number of steps of Adam.
        learning_rate: Its learning rate, which falls to zero on a cosine.
        seed: Seed of the first random z.

    Returns:
        float32 ``(n, latent_dim)``.
    """
    candidates = noise.normal(validation.seeds(seed, starts), model.latent_dim)
    parts = []
    for start in range(0, len(images), ROWS):
        rows = slice(start, start + ROWS)
        given = None if label is None else label[rows]
        nearest = _nearest(model, images[rows], given, candidates)
        parts.append(_descend(model, images[rows], given, nearest, steps, learning_rate))
    return np.concatenate(parts)


def _nearest(model, images, label, candidates):
    """Returns for each image the z of the candidate whose image is nearest."""
    found = np.empty((len(images), candidates.shape[1]), np.float32)
    for one in [None] if label is None else np.unique(label):
        rows = slice(None) if one is None else label == one
        decoded = model.decode(candidates, one).reshape(1, len(candidates), -1)
        flat = images[rows].reshape(-1, 1, decoded.shape[-1])
        errors = np.stack([np.square(image - decoded[0]).mean(axis=-1) for image in flat])
        found[rows] = candidates[errors.argmin(axis=1)]
    return found


def _descend(model, images, label, start, steps, learning_rate):
    """Returns the z after the last step, or the start where that is nearer."""
    z = tf.Variable(start)
    given = () if label is None else (tf.constant(label),)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build([z])

    def errors():
        difference = model.decode_tensor(z, *given) - images
        return tf.reduce_mean(tf.square(difference), axis=[1, 2, 3])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            # The sum keeps the images independent of each other.
            loss = tf.reduce_sum(errors())
        optimizer.apply([tape.gradient(loss, z)], [z])

    before = errors()
    for _ in range(steps):
        step()
    return tf.where((errors() < before)[:, None], z, start).numpy()
