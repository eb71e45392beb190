"""Base class of all models: a ``keras.Model`` with conditioning, signatures, validated training data and saving."""

import contextlib
import inspect

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo.inference import methods, noise, validation
from zoo.models import batches


class GenerativeModel(methods.Conditional, keras.Model):
    """Base class of the training classes of adversarial, variational and other models.

    A condition is None, int32 labels ``(n,)`` or a float32 tensor ``(n, *condition_shape)``
    throughout. A subclass supplies ``decode_tensor``, ``optimizers``, ``parameters`` and the step
    of Keras, and names the networks it was given.

    Args:
        image_shape: (height, width, channels).
        latent_dim: Length of z.
        num_classes: Number of labels, or None.
        condition_shape: Shape of one condition, or None.
        condition_at: (row, column) of a condition that is a part of the image, or None.
        seed: Seed of the noise in training and in ``evaluate``.
        name: Name of the model.

    Attributes:
        called: Name of the signature that calling the model, and so ``predict``, computes.
        given_networks: {argument: network or None} of the networks that a user gave to the
            constructor.
        calibrates_on_images: Whether ``calibration_inputs`` needs training images.
    """

    called: str
    calibrates_on_images = False
    given_networks: dict

    def __init__(
        self,
        image_shape,
        latent_dim,
        *,
        num_classes=None,
        condition_shape=None,
        condition_at=None,
        seed=0,
        name=None,
    ):
        super().__init__(name=name)
        self.image_shape, self.latent_dim, self.num_classes = dimensions(
            image_shape, latent_dim, num_classes
        )
        self.condition_shape = None if condition_shape is None else tuple(condition_shape)
        self.condition_at = None if condition_at is None else tuple(condition_at)
        self.seed = validation.seed(seed)
        self.given_networks = {}
        self.built = True  # A subclass builds its networks in its constructor.

    def call(self, inputs, training=False):
        function, _ = self.functions()[self.called]
        return next(iter(function(*keras.tree.flatten(inputs)).values()))

    def decode_tensor(self, z, condition=None):
        """Computes the images ``(n, *image_shape)`` in [0, 1] of latent vectors ``(n, latent_dim)``."""
        raise NotImplementedError

    def prior_tensor(self, noise, condition=None):
        """Maps standard normal noise ``(n, latent_dim)`` to z; the identity for a prior N(0, I)."""
        return noise

    def sample_tensor(self, seed, condition=None):
        """Computes the images of seeds ``(n,)``: decode(prior(normal(seed)))."""
        z = self.prior_tensor(noise.normal_tensor(seed, self.latent_dim), condition)
        return self.decode_tensor(z, condition)

    def optimizers(self) -> dict:
        """Returns {argument of ``compile``: (updates in a training step, variables that it updates)}."""
        raise NotImplementedError

    @property
    def parameters(self) -> dict:
        """Number of parameters, {"generator": those that compute an image, "total": all}."""
        raise NotImplementedError

    @property
    def evaluation_metrics(self) -> dict:
        """Metrics of ``zoo.evaluation`` and their settings, for a model without a recipe."""
        return {}

    def adapt(self, images) -> None:
        """Initializes an untrained model from training images, for the families that gain by it.

        Args:
            images: ``zoo.data.Source``, or data of which ``zoo.data.get`` makes one.
        """

    def calibration_inputs(self, images, condition, noise) -> dict:
        """Returns the inputs of each signature from which an int8 file takes the ranges of its activations.

        Args:
            images: float32 ``(n, *image_shape)``, training images, or None where
                ``calibrates_on_images`` is False.
            condition: The same as inputs of a signature, {} or {"label": …} or {"condition": …}, n
                rows.
            noise: float32 ``(n, latent_dim)``, standard normal.
        """
        z = self.compute("prior", {"noise": noise} | condition)["z"] if self.has("prior") else noise
        return {"decode": {"z": z} | condition}

    def check_network(
        self, network, argument: str, input_shape: tuple, output_shape: tuple | list
    ) -> None:
        """Validates that a network maps inputs (and the condition) to outputs of the given shapes, without the batch.

        Raises:
            ValueError: If the network is no ``keras.Model``, does not take these inputs or has
                other outputs.
        """
        if not isinstance(network, keras.Model):
            raise ValueError(
                f"{argument} must be a keras.Model; received: {validation.short(network)}."
            )
        inputs = [keras.KerasTensor((None, *input_shape))]
        inputs += [
            keras.KerasTensor(tuple(spec.shape), spec.dtype.name) for spec in self.condition_spec()
        ]
        names = [
            "images" if len(input_shape) == 3 else "z",
            *(spec.name for spec in self.condition_spec()),
        ]
        expected = f"{argument} must map {' and '.join(names)} of shape {_shapes(inputs)} to {_shape_text(output_shape)}"
        try:
            outputs = network(inputs if len(inputs) > 1 else inputs[0])
        except (ValueError, TypeError) as error:
            first = str(error).strip().splitlines()[0]
            raise ValueError(
                f"{expected}; received: a network that cannot be called on these ({first})."
            ) from None
        shapes = [tuple(tensor.shape[1:]) for tensor in keras.tree.flatten(outputs)]
        if shapes != (output_shape if isinstance(output_shape, list) else [output_shape]):
            raise ValueError(
                f"{expected}; received: a network with outputs of shape {_shapes(keras.tree.flatten(outputs))}."
            )

    def get_config(self):
        """Returns the arguments of the constructor, the dtype policy, and which layers are frozen."""
        given = {
            name: network for name, network in self.given_networks.items() if network is not None
        }
        return {
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "num_classes": self.num_classes,
            **{
                name: keras.saving.serialize_keras_object(network)
                for name, network in given.items()
            },
            "seed": self.seed,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "layers_trainable": _trainable_states(self),
        }

    @classmethod
    def from_config(cls, config):
        arguments = dict(config)
        states = arguments.pop("layers_trainable", {})
        policy = arguments.pop("dtype", None)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(
            before if policy is None else keras.dtype_policies.get(policy)
        )
        try:
            for name, value in arguments.items():
                if name in ("encoder", "decoder", "generator", "discriminator") and isinstance(
                    value, dict
                ):
                    arguments[name] = keras.saving.deserialize_keras_object(value)
            model = cls(**arguments)
        finally:
            keras.config.set_dtype_policy(before)
        _set_trainable_states(model, states)
        return model

    def in_float32(self):
        """Returns an equal model that computes in float32, compiled with the default optimizers."""
        model = type(self).from_config(_in_float32(self.get_config()))
        for ours, theirs in zip(model.variables, self.variables):
            ours.assign(theirs)
        return model

    def signatures(self) -> dict:
        """Returns the signatures of an artifact, {name: (function, input specs)}.

        A function takes tensors in the order of the specs, the condition last, and returns {name:
        tensor}.
        """
        seed = self.specs("seed", [], tf.int64)
        return {
            "sample": (lambda *given: {"images": self.sample_tensor(*given)}, seed),
            "sample_png": (
                lambda *given: {"png_bytes": encode_png(self.sample_tensor(*given))},
                seed,
            ),
            "decode": (
                lambda *given: {"images": self.decode_tensor(*given)},
                self.specs("z", [self.latent_dim]),
            ),
        }

    def description(self) -> dict:
        """Returns the fields ``condition`` and ``signatures`` of a card."""
        condition = None
        if self.condition_shape:
            condition = {
                "shape": list(self.condition_shape),
                "at": self.condition_at and list(self.condition_at),
            }
        signatures = {}
        for name in self.signatures():
            function = self.concrete_function(name)
            inputs = {spec.name: spec for spec in function.structured_input_signature[1].values()}
            signatures[name] = {
                "inputs": {key: _described(spec) for key, spec in inputs.items()},
                "outputs": {
                    key: _described(spec) for key, spec in function.structured_outputs.items()
                },
            }
        return {"condition": condition, "signatures": signatures}

    def has(self, signature):
        return signature in self.signatures()

    def specs(self, name, shape, dtype=tf.float32) -> list:
        """Returns the specs of one input and of the condition."""
        return [tf.TensorSpec([None, *shape], dtype, name), *self.condition_spec()]

    def condition_spec(self) -> list:
        """Returns the spec of the condition in a list, or an empty list."""
        if self.num_classes:
            return [tf.TensorSpec([None], tf.int32, "label")]
        if self.condition_shape:
            return [tf.TensorSpec([None, *self.condition_shape], tf.float32, "condition")]
        return []

    def functions(self) -> dict:
        """Returns the signatures, and the functions of methods that no artifact carries."""
        return self.signatures()

    def concrete_function(self, name):
        """Returns one of ``functions`` as a TensorFlow function of named tensors, traced once for any batch size."""
        # Keras, which saves attributes, must not see this one.
        traced = self.__dict__.setdefault("_traced", {})
        if name not in traced:
            function, specs = self.functions()[name]
            names = [spec.name for spec in specs]
            named = tf.function(lambda **inputs: function(*(inputs[name] for name in names)))
            traced[name] = named.get_concrete_function(**dict(zip(names, specs)))
        return traced[name]

    def compute(self, signature, inputs):
        outputs = self.concrete_function(signature)(
            **{name: tf.constant(rows) for name, rows in inputs.items()}
        )
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    def fit(self, *args, **kwargs):
        """Trains the model as ``keras.Model.fit`` does.

        ``x`` and ``validation_data`` may also be a ``zoo.data.Source``. Sample weights and class
        weights follow Keras's reduction: the mean over a batch of weight times loss. In an
        adversarial model they apply to the terms of real images.

        Raises:
            ValueError: If the images are not floating-point numbers in [0, 1] of the model's
                ``image_shape``, if a conditional model is given no labels, or if weights do not
                fit. The first batch is validated before training starts.
        """
        given = _arguments(keras.Model.fit, self, args, kwargs)
        given = batches.for_training(self, given)
        given.update(self._validated(given))
        if given.get("validation_data") is not None:
            given["validation_data"] = self._validated_validation_data(given)
        # Here, not in the graph: it would create their variables in a function that an error can
        # leave half traced.
        with self.distribute_strategy.scope():
            self.build_optimizers()
        with _plain_errors():
            return super().fit(**given)

    def evaluate(self, *args, **kwargs):
        """Computes the metrics on a data set as ``keras.Model.evaluate`` does. Errors as in ``fit``."""
        given = batches.for_evaluation(self, _arguments(keras.Model.evaluate, self, args, kwargs))
        if (
            "_use_cached_eval_dataset" not in kwargs
        ):  # In ``fit`` the validation data have been validated.
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
        self._validated(
            {"x": x, "y": y, "sample_weight": sample_weight, "class_weight": class_weight}
        )
        self.build_optimizers()
        with _plain_errors():
            return super().train_on_batch(x, y, sample_weight, class_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Evaluates one batch as ``keras.Model.test_on_batch`` does. Errors as in ``fit``."""
        self._validated({"x": x, "y": y, "sample_weight": sample_weight})
        with _plain_errors():
            return super().test_on_batch(x, y, sample_weight, **kwargs)

    def _validated_validation_data(self, given):
        """Validates ``validation_data`` of ``fit`` and returns it in the form that Keras takes."""
        images, condition, weights = keras.utils.unpack_x_y_sample_weight(given["validation_data"])
        checked = batches.for_evaluation(
            self, {"x": images, "batch_size": given.get("validation_batch_size")}
        )
        if checked["x"] is not images:
            return checked["x"]
        checked = self._validated({"x": images, "y": condition, "sample_weight": weights})
        if checked["y"] is None:
            return given["validation_data"]
        return tuple(part for part in checked.values() if part is not None)

    def _validated(self, given) -> dict:
        """Validates the first batch of the arguments of ``fit``, and returns x, y and sample_weight."""
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
            (images, condition, weights): condition is None where the model has none, weights where
                none are given.
        """
        images, condition, weights = keras.utils.unpack_x_y_sample_weight(data)
        images = self.full(images)
        images = tf.ensure_shape(images, [None, *self.image_shape])
        n = tf.shape(images)[0]
        weights = None if weights is None else tf.reshape(self.full(weights), [n])
        with tf.control_dependencies(
            batches.assert_in_range(images, 0.0, 1.0, batches.IMAGES_IN_RANGE)
        ):
            images = tf.identity(images)
        if not self.condition_spec():
            return images, None, weights
        if condition is None:
            raise ValueError(batches.missing_condition(self))
        if self.condition_shape:
            return (
                images,
                tf.ensure_shape(self.full(condition), [None, *self.condition_shape]),
                weights,
            )
        # Of shape (n, 1) too, and of an unknown one where both have been seen.
        labels = tf.reshape(ops.cast(condition, "int32"), [n])
        # Ordered before the look-up of labels, which fails with a sentence of its own.
        with tf.control_dependencies(
            batches.assert_in_range(labels, 0, self.num_classes - 1, batches.LABELS_IN_RANGE)
        ):
            return images, tf.identity(labels), weights

    def weighted_mean(self, values, weights):
        """The mean over a batch of values ``(n,)`` times weights, which are 1 where None: Keras's reduction of a loss."""
        return ops.mean(values if weights is None else values * weights)

    def full(self, tensor):
        """Casts to float32, under mixed precision too, because sums over pixels need it."""
        return ops.cast(tensor, keras.config.floatx())

    def compile(self, optimizer, **kwargs):
        if kwargs.get("loss") or kwargs.get("metrics"):
            raise ValueError(
                "loss and metrics must not be given to compile, because the model has its own."
            )
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config):
        # Keras does not restore a custom compile() by itself: it warns and leaves the model
        # uncompiled.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.build_optimizers()

    def build_optimizers(self) -> None:
        """Creates the slots of each optimizer, for the variables that it updates."""
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
        return self(
            x if condition is None or not self.condition_spec() else [x, condition], training=False
        )

    def track(self, *names):
        """Creates the metrics that ``report`` updates."""
        self._trackers = [keras.metrics.Mean(name=name) for name in names]

    def report(self, *values):
        """Updates the metrics with the values of a batch and returns {name: mean so far}."""
        for tracker, value in zip(self._trackers, values):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self._trackers}

    def scaled(self, loss, optimizer):
        """Scales a loss for mixed precision, and for ``tf.distribute``, which sums the gradients of the replicas."""
        return optimizer.scale_loss(loss / tf.distribute.get_strategy().num_replicas_in_sync)

    def apply_gradients(self, tape, scaled_loss, optimizer, variables) -> None:
        """Updates variables by the gradients of a loss that ``scaled`` gave."""
        optimizer.apply(tape.gradient(scaled_loss, variables), variables)

    def noise_seed(self, step, *more):
        """Returns a seed int64 ``(2,)`` that depends on the model's seed, the step, further numbers and the replica.

        A model that was saved and loaded therefore continues with the same noise, and replicas draw
        different noise.
        """
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(step, tf.int64)])
        for number in (*more, tf.distribute.get_replica_context().replica_id_in_sync_group):
            seed = tf.random.fold_in(seed, tf.cast(number, tf.int64))
        return seed

    def noise(self, shape, step, *more):
        """Draws standard normal noise by ``noise_seed``."""
        return self.full(tf.random.stateless_normal(shape, self.noise_seed(step, *more)))


def dimensions(image_shape, latent_dim, num_classes) -> tuple:
    """Validates the arguments that describe images, latent variables and labels, and returns them."""
    validation.positive_int(latent_dim, "latent_dim")
    if num_classes is not None:
        validation.positive_int(num_classes, "num_classes")
    return validation.image_shape(image_shape), latent_dim, num_classes


def refuse(unknown: dict, replaced: dict, family: type) -> None:
    """Refuses arguments that a constructor does not have.

    Args:
        unknown: {argument: value} that was received.
        replaced: {argument of an earlier version: its successor}.
        family: Class of the constructor.

    Raises:
        ValueError: For an argument of an earlier version.
        TypeError: For another one.
    """
    for argument in unknown:
        if argument in replaced:
            raise ValueError(f"{argument} was replaced; give {replaced[argument]} instead.")
        raise TypeError(f"{family.__name__} has no argument {argument!r}.")


def assert_batch_of(n: int, images) -> list:
    """Returns the graph's check that a batch has at least n images."""
    check = tf.debugging.Assert(tf.shape(images)[0] >= n, [batches.TOO_SMALL])
    return [] if check is None else [check]


def encode_png(images):
    """Encodes float images in [0, 1] as PNG files, string ``(n,)``."""
    pixels = tf.cast(tf.round(images * 255), tf.uint8)
    return tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)


def _arguments(method, model, args, kwargs) -> dict:
    """Returns the arguments of a call of a Keras method by name."""
    bound = inspect.signature(method).bind(model, *args, **kwargs).arguments
    return {
        name: value for name, value in bound.items() if name not in ("self", "kwargs")
    } | bound.get("kwargs", {})


@contextlib.contextmanager
def _plain_errors():
    """Raises a failed check of the graph as a ValueError of its sentence alone, without the graph's traceback."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        sentence = next(
            (sentence for sentence in batches.SENTENCES if sentence in error.message), None
        )
        if sentence is None:
            raise
        raise ValueError(sentence) from None


def _sublayers(layer, path=""):
    """Yields the path of each layer below a layer, the layer and its parent, outer layers first."""
    for sublayer in getattr(layer, "layers", ()):
        inner = f"{path}/{sublayer.name}".lstrip("/")
        yield inner, sublayer, layer
        yield from _sublayers(sublayer, inner)


def _trainable_states(model) -> dict:
    """Returns {path: trainable} of the layers whose state differs from their parent's, or from a new model's."""
    states = {} if model.trainable else {"": False}
    return states | {
        path: layer.trainable
        for path, layer, outer in _sublayers(model)
        if layer.trainable != outer.trainable
    }


def _set_trainable_states(model, states) -> None:
    if "" in states:
        model.trainable = False
    for path, layer, _ in _sublayers(model):
        if path in states:
            layer.trainable = states[path]


def _in_float32(config):
    """Replaces the mixed precision policies of a config, those of layers in it included."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return config | {"config": {"name": "float32"}}
        return {key: _in_float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_in_float32(value) for value in config)
    return config


def _described(spec) -> dict:
    return {"dtype": spec.dtype.name, "shape": [None, *spec.shape[1:]]}


def _shape_text(shape) -> str:
    if isinstance(shape, list):
        return " and ".join(map(_shape_text, shape))
    return f"(n, {', '.join(map(str, shape))})" if shape else "(n,)"


def _shapes(tensors) -> str:
    return _shape_text([tuple(tensor.shape[1:]) for tensor in tensors])
