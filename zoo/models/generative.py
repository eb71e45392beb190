"""Base class of all models: a ``keras.Model`` with conditioning, signatures and validated training data."""

import contextlib
import inspect

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo import latents
from zoo.models import batches
from zoo.verbs import Verbs


class Generative(Verbs, keras.Model):
    """Parent of the training classes: conditioning, and the functions behind the signatures of an artifact.

    A condition is None, int32 labels ``(n,)`` or a float32 tensor ``(n, *condition_shape)`` throughout. A subclass supplies
    ``decode_tensor(z, condition)``, the images in [0, 1] of latent vectors.

    Attributes:
        called: name of the signature that calling the model, and so ``predict``, computes.
    """

    called: str

    def __init__(self, name):
        super().__init__(name=name)
        self.built = True  # A subclass builds its networks in its constructor.

    def _obj_type(self):
        # Keras then stores the weights of the networks below "layers", where files of earlier versions have them.
        return "Functional"

    def call(self, inputs, training=False):
        function, _ = self.functions()[self.called]
        return next(iter(function(*keras.tree.flatten(inputs)).values()))

    def decode_tensor(self, z, condition=None):
        raise NotImplementedError

    def optimizers(self) -> dict:
        """Returns {argument of ``compile``: (updates in a training step, variables that it updates)}."""
        raise NotImplementedError

    @property
    def parameters(self) -> dict:
        """{"generator": numbers that draw an image, "total": all}."""
        raise NotImplementedError

    def adapt(self, images) -> None:
        """Starts an untrained model from the training images, for the families that gain by it."""

    def get_config(self):
        """Returns the arguments of the constructor, the dtype policy, and which layers are frozen."""
        policy = keras.dtype_policies.serialize(self.dtype_policy)
        return {"name": self.name, "dtype": policy, "layers_trainable": _trainable_states(self)}

    @classmethod
    def from_config(cls, config):
        arguments = dict(config)
        states = arguments.pop("layers_trainable", {})
        policy = arguments.pop("dtype", None)
        before = keras.config.dtype_policy()
        # A file of an earlier version names no policy.
        keras.config.set_dtype_policy(before if policy is None else keras.dtype_policies.get(policy))
        try:
            model = cls(**arguments)
        finally:
            keras.config.set_dtype_policy(before)
        _set_trainable_states(model, states)
        return model

    def in_float32(self):
        """Returns an equal model whose layers all compute in float32, compiled anew with the default optimizers."""
        model = type(self).from_config(self.get_config() | {"dtype": "float32"})
        for ours, theirs in zip(model.variables, self.variables):
            ours.assign(theirs)
        return model

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

    def fit(self, *args, **kwargs):
        """Trains the model as ``keras.Model.fit`` does.

        Sample weights and class weights follow Keras's reduction: the mean over a batch of weight times loss. In an
        adversarial model they apply to the terms of real images.

        Raises:
            ValueError: If the images are not floating-point numbers in [0, 1] of the model's ``image_shape``, if a
                conditional model is given no labels, or if weights do not fit. The first batch is validated before
                training starts.
        """
        given = _arguments(keras.Model.fit, self, args, kwargs)
        given.update(self._validated(given))
        if given.get("validation_data") is not None:
            images, condition, weights = keras.utils.unpack_x_y_sample_weight(given["validation_data"])
            checked = self._validated({"x": images, "y": condition, "sample_weight": weights})
            if checked["y"] is not None:
                given["validation_data"] = tuple(part for part in checked.values() if part is not None)
        # Here, not in the graph: it would create their variables in a function that an error can leave half traced.
        with self.distribute_strategy.scope():
            self.build_optimizers()
        with _plain_errors():
            return super().fit(**given)

    def evaluate(self, *args, **kwargs):
        """Computes the metrics on a data set as ``keras.Model.evaluate`` does. Errors as in ``fit``."""
        given = _arguments(keras.Model.evaluate, self, args, kwargs)
        if "_use_cached_eval_dataset" not in kwargs:  # In ``fit`` the validation data have been validated.
            given.update(self._validated(given))
        with _plain_errors():
            return super().evaluate(**given)

    def predict(self, x, *args, **kwargs):
        """Computes the images that calling the model gives, as ``keras.Model.predict`` does.

        Raises:
            ValueError: If the first batch of ``x`` is not the input of the signature ``called``.
        """
        names = [spec.name for spec in self.functions()[self.called][1]]
        batch = batches.first(x, None, None)
        if batch is not None:
            batches.validate_inputs(self, names, batch)
        with _plain_errors():
            return super().predict(x, *args, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, **kwargs):
        """Trains on one batch as ``keras.Model.train_on_batch`` does. Errors as in ``fit``."""
        self._validated({"x": x, "y": y, "sample_weight": sample_weight, "class_weight": class_weight})
        self.build_optimizers()
        with _plain_errors():
            return super().train_on_batch(x, y, sample_weight, class_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Evaluates one batch as ``keras.Model.test_on_batch`` does. Errors as in ``fit``."""
        self._validated({"x": x, "y": y, "sample_weight": sample_weight})
        with _plain_errors():
            return super().test_on_batch(x, y, sample_weight, **kwargs)

    def _validated(self, given) -> dict:
        """The arguments x, y and sample_weight of ``fit``, valid as far as their first batch tells."""
        x, y, weights = (given.get(name) for name in ("x", "y", "sample_weight"))
        batch = batches.first(x, y, weights)
        if batch is not None:
            batches.validate(self, *batch, class_weight=given.get("class_weight"))
        if y is None and weights is not None:
            y = np.zeros(len(x), "int32")  # Keras drops weights that come without y.
        return {"x": x, "y": y, "sample_weight": weights}

    def unpack(self, data):
        """Splits a dataset element, ``images`` or ``(images, labels or condition[, weights])``.

        Returns:
            (images, condition, weights): condition is None where the model has none, weights where none are given.
        """
        images, condition, weights = keras.utils.unpack_x_y_sample_weight(data)
        images = self.full(images)
        images = tf.ensure_shape(images, [None, *self.image_shape])
        n = tf.shape(images)[0]
        weights = None if weights is None else tf.reshape(self.full(weights), [n])
        with tf.control_dependencies(batches.assert_in_range(images, 0.0, 1.0, batches.IMAGES_IN_RANGE)):
            images = tf.identity(images)
        if not self.condition_spec():
            return images, None, weights
        if condition is None:
            raise ValueError(batches.missing_condition(self))
        if self.condition_shape:
            return images, tf.ensure_shape(self.full(condition), [None, *self.condition_shape]), weights
        # Of shape (n, 1) too, and of an unknown one where both have been seen.
        labels = tf.reshape(ops.cast(condition, "int32"), [n])
        # Ordered before the look-up of labels, which fails with a sentence of its own.
        with tf.control_dependencies(batches.assert_in_range(labels, 0, self.num_classes - 1, batches.LABELS_IN_RANGE)):
            return images, tf.identity(labels), weights

    def weighted_mean(self, values, weights):
        """The mean over a batch of values ``(n,)`` times weights, which are 1 where None: Keras's reduction of a loss."""
        return ops.mean(values if weights is None else values * weights)

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
            optimizer = getattr(self, name)
            if not optimizer.built:
                optimizer.build(variables)

    def save(self, filepath, *args, **kwargs):
        """Saves the model as ``keras.Model.save`` does, to a ``.keras`` file.

        Raises:
            ValueError: If the file name has another ending.
        """
        if not str(filepath).endswith(".keras"):
            raise ValueError(f"filepath must end in .keras; received: {str(filepath)!r}.")
        super().save(filepath, *args, **kwargs)

    @property
    def metrics(self):
        return self._trackers

    def predict_step(self, data):
        x, condition, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self(x if condition is None or not self.condition_spec() else [x, condition], training=False)

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


def _arguments(method, model, args, kwargs) -> dict:
    """The arguments of a call of a Keras method, by name."""
    bound = inspect.signature(method).bind(model, *args, **kwargs).arguments
    return {name: value for name, value in bound.items() if name not in ("self", "kwargs")} | bound.get("kwargs", {})


@contextlib.contextmanager
def _plain_errors():
    """Raises a failed check of the graph as a ValueError of its sentence alone, without the graph's traceback."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        sentence = next((sentence for sentence in batches.SENTENCES if sentence in error.message), None)
        if sentence is None:
            raise
        raise ValueError(sentence) from None


def _sublayers(layer, path=""):
    """Each layer below a layer with its path, the outer ones first."""
    for sublayer in getattr(layer, "layers", ()):
        inner = f"{path}/{sublayer.name}".lstrip("/")
        yield inner, sublayer, layer
        yield from _sublayers(sublayer, inner)


def _trainable_states(model) -> dict:
    """{path: trainable} of the layers that are not as the layer around them, or as a new model, is."""
    states = {} if model.trainable else {"": False}
    return states | {path: layer.trainable for path, layer, outer in _sublayers(model) if layer.trainable != outer.trainable}


def _set_trainable_states(model, states) -> None:
    if "" in states:
        model.trainable = False
    for path, layer, _ in _sublayers(model):
        if path in states:
            layer.trainable = states[path]
