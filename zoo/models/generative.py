"""What every model of the zoo is on the Keras runtime: a functional ``keras.Model`` with the verbs of the contract."""

import keras
import tensorflow as tf
from keras import ops

from zoo import latents
from zoo.verbs import Verbs


class Generative(Verbs, keras.Model):
    """Parent of the training classes: conditioning, and the functions behind the signatures of an artifact.

    A condition is None, int32 labels ``(n,)`` or a float32 tensor ``(n, *condition_shape)`` throughout. A subclass supplies
    ``decode_tensor(z, condition)``, the images in [0, 1] of latent vectors.
    """

    def decode_tensor(self, z, condition=None):
        raise NotImplementedError

    def optimizers(self) -> dict:
        """What each optimizer does, by its name in ``compile``: {name: (updates in a training step, variables)}."""
        raise NotImplementedError

    @property
    def parameters(self) -> dict:
        """{"generator": numbers that draw an image, "total": all}."""
        raise NotImplementedError

    def adapt(self, images) -> None:
        """Starts an untrained model from the training images, for the families that gain by it."""

    def signatures(self) -> dict:
        """The contract's signatures as ``{name: (function, input specs)}``: tensors in that order in, tensors by name out."""
        seed = [tf.TensorSpec([None], tf.int64, "seed"), *self.condition_spec()]
        z = [tf.TensorSpec([None, self.latent_dim], tf.float32, "z"), *self.condition_spec()]
        return {
            "sample": (lambda seed, condition=None: {"images": self._sample_tensor(seed, condition)}, seed),
            "sample_png": (lambda seed, condition=None: {"png_bytes": encode_png(self._sample_tensor(seed, condition))}, seed),
            "decode": (lambda z, condition=None: {"images": self.decode_tensor(z, condition)}, z),
        }

    def condition_spec(self) -> list:
        if self.num_classes:
            return [tf.TensorSpec([None], tf.int32, "label")]
        if self.condition_shape:
            return [tf.TensorSpec([None, *self.condition_shape], tf.float32, "condition")]
        return []

    def functions(self) -> dict:
        """The signatures, and what else the verbs compute but no artifact carries."""
        return self.signatures()

    def concrete_function(self, name):
        """One of ``functions`` as a TensorFlow function of named tensors, traced once for any batch size."""
        # Not an attribute to Keras, which would look into it when it saves.
        traced = self.__dict__.setdefault("_traced", {})
        if name not in traced:
            function, specs = self.functions()[name]
            names = [spec.name for spec in specs]
            named = tf.function(lambda **inputs: function(*(inputs[name] for name in names)))
            traced[name] = named.get_concrete_function(**dict(zip(names, specs)))
        return traced[name]

    def compute(self, signature, inputs):
        outputs = self.concrete_function(signature)(**{name: tf.constant(rows) for name, rows in inputs.items()})
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    def unpack(self, data):
        """The images and the condition of a dataset element, ``images`` or ``(images, labels or condition)``."""
        images, condition, weights = keras.utils.unpack_x_y_sample_weight(data)
        images, condition = (None if part is None else tf.convert_to_tensor(part) for part in (images, condition))
        if weights is not None:
            raise ValueError("The loss is a plain mean over images: train without sample_weight and class_weight.")
        if not images.dtype.is_floating:
            raise ValueError(
                f"Images must be floating-point numbers in [0, 1], but they are {images.dtype.name}: divide them by 255."
            )
        if images.shape[1:] != self.image_shape:
            raise ValueError(
                f"Images must have the shape (n, {', '.join(map(str, self.image_shape))}), but theirs is {images.shape}."
            )
        tf.debugging.assert_less_equal(tf.reduce_max(images), tf.cast(1, images.dtype), "Images must lie in [0, 1].")
        tf.debugging.assert_non_negative(images, "Images must lie in [0, 1].")
        if not self.condition_spec():
            return self.full(images), None
        if condition is None:
            needed = self.condition_spec()[0].name
            raise ValueError(
                f"This model is conditional: each dataset element must be (images, {needed}), but it is images alone."
            )
        if self.condition_shape:
            return self.full(images), self.full(condition)
        if condition.shape.rank == 2 and condition.shape[1] == 1:
            condition = tf.squeeze(condition, axis=1)
        if not condition.dtype.is_integer or condition.shape.rank != 1:
            given = f"{condition.dtype.name} of shape {condition.shape}"
            raise ValueError(f"Labels must be whole numbers of shape (n,), but they are {given}.")
        in_range = [
            tf.debugging.assert_less(condition, tf.cast(self.num_classes, condition.dtype), "A label is too high."),
            tf.debugging.assert_non_negative(condition, "A label is negative."),
        ]
        # Ordered before the look-up of labels, which fails with a sentence of its own. (A check that holds eagerly is None.)
        with tf.control_dependencies([check for check in in_range if check is not None]):
            return self.full(images), tf.identity(condition)

    def full(self, tensor):
        """In full precision, float32 under mixed precision too: sums over pixels want it."""
        return ops.cast(tensor, keras.config.floatx())

    def compile(self, optimizer, **kwargs):
        if kwargs.get("loss") or kwargs.get("metrics"):
            raise ValueError("The loss is the model's own and so are its metrics: compile without loss and metrics.")
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config):
        # Keras restores no custom compile() by itself: it warns and leaves the model uncompiled.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.build_optimizers()

    def build_optimizers(self) -> None:
        """Gives each optimizer the slots of the variables that it updates, and of no others."""
        for name, (_, variables) in self.optimizers().items():
            getattr(self, name).build(variables)

    @property
    def metrics(self):
        return self._trackers

    def predict_step(self, data):
        x, condition, _ = keras.utils.unpack_x_y_sample_weight(data)
        return super().predict_step((x if condition is None or not self.condition_spec() else [x, condition],))

    def track(self, *names):
        """Names what ``report`` is given."""
        self._trackers = [keras.metrics.Mean(name=name) for name in names]

    def report(self, *values):
        for tracker, value in zip(self._trackers, values):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self._trackers}

    def noise(self, shape, step, *more):
        """Standard normal noise that the model's seed, the step, more numbers and the replica decide.

        So a model that was saved and loaded goes on unchanged, and no two replicas draw the same.
        """
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(step, tf.int64)])
        for number in (*more, tf.distribute.get_replica_context().replica_id_in_sync_group):
            seed = tf.random.fold_in(seed, tf.cast(number, tf.int64))
        return self.full(tf.random.stateless_normal(shape, seed))

    def _sample_tensor(self, seed, condition):
        return self.decode_tensor(latents.normal_tensor(seed, self.latent_dim), condition)


def encode_png(images):
    """PNG files, string ``(n,)``, of float images in [0, 1]."""
    pixels = tf.cast(tf.round(images * 255), tf.uint8)
    return tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)
