"""Base class of all models.

It adds conditioning, signatures and validation of training data to ``keras.Model``.
"""

import inspect

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo.inference import methods, validation
from zoo.models import batches, freezing, networks, precision, replicas


class ImageModel(methods.Conditional, keras.Model):
    """Base class of every model of images: generative models and classifiers.

    A condition is None, int32 labels ``(n,)``, int32 values of attributes ``(n, k)`` or a float32
    tensor ``(n, *condition_shape)`` in every method. A subclass

    - inherits the classes of ``zoo.inference.methods`` whose methods it has, before this class;
    - sets ``call_signature``;
    - in its constructor calls the parent's, builds its networks, and calls ``track`` with the names
      of its training metrics and then ``compile``;
    - implements ``signatures``, ``optimizers``, ``train_step`` and ``test_step``.

    Args:
        image_shape: (height, width, channels).
        num_classes: Number of labels, or None if the training data have no labels.
        condition_shape: Shape of one condition, or None.
        condition_at: (row, column) of a condition that is a part of the image, or None.
        attributes: {attribute: names of its values} if the training data have attributes, or None.
            ``condition_shape`` is then their number.
        seed: Seed of the noise in training and in ``evaluate``.
        name: Name of the model.

    Attributes:
        call_signature: Name of the signature that a call of the model and ``predict`` compute.
        default_signature: Name of the signature that is also ``serving_default``.
        tags: Words that describe the class on a card.
        given_networks: {argument: network or None} of the networks that a user may give to the
            constructor; empty by default.
        has_int8: Whether an artifact has an int8 file.
        cycle_arguments: Names of the constructor's arguments that a training step reads, so that
            a cycle of a recipe can change them.
    """

    call_signature: str
    default_signature: str
    tags: tuple = ()
    has_int8 = False
    cycle_arguments: tuple = ()
    given_networks: dict

    def __init__(
        self,
        image_shape,
        *,
        num_classes=None,
        condition_shape=None,
        condition_at=None,
        attributes=None,
        seed=0,
        name=None,
    ):
        super().__init__(name=name)
        self.image_shape = validation.image_shape(image_shape)
        self.num_classes = num_classes_or_none(num_classes)
        self.attributes = None if attributes is None else validation.attributes(attributes)
        condition_shape = (len(attributes),) if attributes else condition_shape
        self.condition_shape = None if condition_shape is None else tuple(condition_shape)
        self.condition_at = None if condition_at is None else tuple(condition_at)
        self.seed = validation.seed(seed)
        self.given_networks = {}
        self.built = True  # A subclass builds its networks in its constructor.

    def call(self, inputs, training=False):
        """Computes ``call_signature`` from its inputs in order, the condition last."""
        function, _ = self.functions()[self.call_signature]
        return next(iter(function(*keras.tree.flatten(inputs)).values()))

    def optimizers(self) -> dict:
        """Returns the optimizers and the variables that they update.

        Returns:
            {argument of ``compile``: (number of updates in a training step, variables)}. By default
            one optimizer updates all variables once.
        """
        return {"optimizer": (1, self.trainable_variables)}

    @property
    def steps_done(self) -> int:
        """Number of training steps so far."""
        # A variable of several replicas cannot be converted to int directly.
        return int(self.optimizer.iterations.numpy())

    @property
    def parameters(self) -> dict:
        """Number of parameters, {"total": all} and perhaps {part: those of a part}."""
        return {"total": self.count_params()}

    @property
    def evaluation_metrics(self) -> dict:
        """Metrics of ``zoo.evaluation`` and their settings, for a model without a recipe."""
        return {}

    def adapt(self, images) -> None:
        """Initializes an untrained model from training images. By default nothing changes.

        Args:
            images: ``zoo.data.Source``, or data of which ``zoo.data.get`` makes one.
        """

    def check_network(
        self, network, argument: str, input_shape: tuple, output_shape: tuple | list
    ) -> None:
        """Validates a network as ``zoo.models.networks.check_network`` does, with the condition."""
        networks.check_network(network, argument, input_shape, output_shape, self.condition_spec())

    def get_config(self):
        """Returns the constructor's arguments, the dtype policy and the states of frozen layers."""
        given = {
            name: network for name, network in self.given_networks.items() if network is not None
        }
        return {
            "image_shape": self.image_shape,
            # A class without labels need not have the argument.
            **({"num_classes": self.num_classes} if self.num_classes else {}),
            **{
                name: keras.saving.serialize_keras_object(network)
                for name, network in given.items()
            },
            "seed": self.seed,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "layers_trainable": freezing.trainable_states(self),
        }

    @classmethod
    def from_config(cls, config):
        """Creates a model from the result of ``get_config``."""
        arguments = dict(config)
        states = arguments.pop("layers_trainable", {})
        with precision.policy_scope(arguments.pop("dtype", None)):
            for name, value in arguments.items():
                if isinstance(value, dict) and "registered_name" in value:
                    arguments[name] = keras.saving.deserialize_keras_object(value)
            model = cls(**arguments)
        freezing.set_trainable_states(model, states)
        return model

    def in_float32(self):
        """Returns a copy that computes in float32, compiled with the default optimizers."""
        model = type(self).from_config(precision.in_float32(self.get_config()))
        for ours, theirs in zip(model.variables, self.variables):
            ours.assign(theirs)
        return model

    def signatures(self) -> dict:
        """Returns the signatures of an artifact, {name: (function, input specs)}.

        A function takes tensors in the order of the specs, the condition last, and returns
        {name: tensor}.
        """
        raise NotImplementedError

    def description(self) -> dict:
        """Returns the fields ``condition``, ``signatures`` and ``tags`` of a card."""
        condition = None
        if self.condition_shape:
            condition = {
                "shape": list(self.condition_shape),
                "at": self.condition_at and list(self.condition_at),
            }
            if self.attributes:
                condition["attributes"] = self.listed_attributes
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
        return {"condition": condition, "signatures": signatures, "tags": list(self.tags)}

    def has(self, signature: str) -> bool:
        """Returns whether the model has a signature."""
        return signature in self.signatures()

    def specs(self, name, shape, dtype=tf.float32) -> list:
        """Returns the specs of one input and of the condition."""
        return [tf.TensorSpec([None, *shape], dtype, name), *self.condition_spec()]

    def condition_spec(self) -> list:
        """Returns the spec of the condition in a list, or an empty list."""
        if self.num_classes:
            return [tf.TensorSpec([None], tf.int32, "label")]
        if self.condition_shape:
            dtype = tf.int32 if self.attributes else tf.float32
            return [tf.TensorSpec([None, *self.condition_shape], dtype, "condition")]
        return []

    @property
    def listed_attributes(self) -> dict | None:
        """Attributes as a constructor's argument, with a list of the values of each, or None."""
        if self.attributes is None:
            return None
        return {name: list(values) for name, values in self.attributes.items()}

    @property
    def attribute_sizes(self) -> list:
        """Number of values of each attribute, or [] without attributes."""
        return [len(values) for values in (self.attributes or {}).values()]

    def functions(self) -> dict:
        """Returns the signatures and the further functions, which are not part of an artifact."""
        return self.signatures()

    def concrete_function(self, name):
        """Returns one of ``functions`` as a concrete function of named tensors for any batch size.

        It is traced at the first call.
        """

        def trace():
            function, specs = self.functions()[name]
            names = [spec.name for spec in specs]
            # Without AutoGraph, as in keras.Model.export: control flow is that of keras.ops.
            named = tf.function(
                lambda **inputs: function(*(inputs[name] for name in names)), autograph=False
            )
            return named.get_concrete_function(**dict(zip(names, specs)))

        return self.traced(name, trace)

    def nested(self, name, *given) -> dict:
        """Calls one function of ``functions`` inside another one, with tensors in their order.

        An artifact then has the operations of the inner function once. It would have a copy of them
        for each function that computed them itself.
        """
        _, specs = self.functions()[name]
        names = [spec.name for spec in specs]
        return self.concrete_function(name)(**dict(zip(names, given)))

    def traced(self, name, trace):
        """Returns the result of ``trace()``, a traced function, which is kept under a name."""
        # Keras tracks and saves attributes that are set as usual; this cache must not be saved.
        kept = self.__dict__.setdefault("_traced", {})
        if name not in kept:
            kept[name] = trace()
        return kept[name]

    def forget_traced(self) -> None:
        """Discards the functions that ``traced`` keeps, because a part of the model is replaced."""
        self.__dict__.pop("_traced", None)

    def compute(self, signature, inputs):
        """Runs one function of ``functions`` on arrays, {input: array} to {output: array}."""
        outputs = self.concrete_function(signature)(
            **{name: tf.constant(rows) for name, rows in inputs.items()}
        )
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    def fit(self, *args, **kwargs):
        """Trains the model as ``keras.Model.fit`` does.

        ``x`` and ``validation_data`` may also be a ``zoo.data.Source``. Sample weights and class
        weights follow Keras's reduction: the mean over a batch of weight times loss. In an
        adversarial model they apply to the terms of real images.

        A model that was created in the scope of a ``tf.distribute`` strategy is trained on all of
        its replicas, see ``zoo.models.replicas``. ``batch_size`` is that of the global batch.

        Raises:
            ValueError: If the images are not floating-point numbers in [0, 1] of the model's
                ``image_shape``, if a conditional model is given no labels, or if weights do not
                fit. The first batch is validated before training starts.
        """
        arguments = _arguments(keras.Model.fit, self, args, kwargs)
        given = batches.for_training(self, arguments)
        given.update(self._validated_for_training(given))
        given.update(batches.on_replicas(self, arguments))
        self._run_single_steps_on_replicas()
        if given.get("validation_data") is not None:
            given["validation_data"] = self._validated_validation_data(given)
        # The slots are created before the graph is traced: an error in the middle of tracing would
        # leave them half created.
        self.build_optimizers()
        with batches.plain_errors():
            return super().fit(**given)

    def evaluate(self, *args, **kwargs):
        """Computes the metrics on a data set as ``keras.Model.evaluate`` does.

        Raises:
            ValueError: As ``fit``.
        """
        given = batches.for_evaluation(self, _arguments(keras.Model.evaluate, self, args, kwargs))
        self._run_single_steps_on_replicas()
        # ``fit`` calls with this argument, and has validated the data before.
        if "_use_cached_eval_dataset" not in kwargs:
            given.update(self._validated(given))
        with batches.plain_errors():
            return super().evaluate(**given)

    def predict(self, x, *args, **kwargs):
        """Computes the signature ``call_signature`` of each batch, as ``keras.Model.predict`` does.

        Raises:
            ValueError: If the first batch of ``x`` is not the input of ``call_signature``.
        """
        names = [spec.name for spec in self.functions()[self.call_signature][1]]
        batch = batches.first(x, None, None)
        if batch is not None:
            batches.validate_inputs(self, names, batch)
        with batches.plain_errors():
            return super().predict(x, *args, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, **kwargs):
        """Trains on one batch as ``keras.Model.train_on_batch`` does.

        Raises:
            ValueError: As ``fit``.
        """
        self._validated_for_training(
            {"x": x, "y": y, "sample_weight": sample_weight, "class_weight": class_weight}
        )
        self.build_optimizers()
        with batches.plain_errors():
            return super().train_on_batch(x, y, sample_weight, class_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Evaluates one batch as ``keras.Model.test_on_batch`` does.

        Raises:
            ValueError: As ``fit``.
        """
        self._validated({"x": x, "y": y, "sample_weight": sample_weight})
        with batches.plain_errors():
            return super().test_on_batch(x, y, sample_weight, **kwargs)

    def _run_single_steps_on_replicas(self):
        """Sets ``steps_per_execution`` to 1 under a strategy, where Keras fails with more."""
        if self._distribute_strategy is not None:
            self.steps_per_execution = 1

    def _validated_validation_data(self, given):
        """Validates ``validation_data`` of ``fit`` and returns it in the form that Keras takes."""
        images, condition, weights = keras.utils.unpack_x_y_sample_weight(given["validation_data"])
        size = given.get("validation_batch_size")
        checked = batches.for_evaluation(
            self, {"x": images, "y": condition, "sample_weight": weights, "batch_size": size}
        )
        if checked["x"] is not images:
            return checked["x"]
        checked = self._validated({"x": images, "y": condition, "sample_weight": weights})
        if checked["y"] is None:
            return given["validation_data"]
        return tuple(part for part in checked.values() if part is not None)

    def _validated_for_training(self, given) -> dict:
        """Validates the data that a model is trained on; a model may also initialize from them."""
        return self._validated(given)

    def _validated(self, given) -> dict:
        """Validates the first batch of ``fit``'s arguments and returns x, y and sample_weight."""
        x, y, weights = (given.get(name) for name in ("x", "y", "sample_weight"))
        batch = batches.first(x, y, weights)
        if batch is not None:
            batches.validate(self, *batch, class_weight=given.get("class_weight"))
        if y is None and weights is not None:
            y = np.zeros(len(x), "int32")  # Keras ignores weights without y.
        return {"x": x, "y": y, "sample_weight": weights}

    def unpack(self, data):
        """Splits and checks a dataset element.

        Args:
            data: ``images`` or ``(images, condition[, weights])``, with labels as the condition of
                a model that is conditional on a label.

        Returns:
            (images, condition, weights): images float32 ``(n, *image_shape)``; condition int32
            ``(n,)`` or ``(n, k)``, float32 ``(n, *condition_shape)`` or None if the model is not
            conditional; weights float32 ``(n,)`` or None.

        Raises:
            ValueError: If a conditional model is given no condition.
        """
        images, condition, weights = keras.utils.unpack_x_y_sample_weight(data)
        images = self.to_float(images)
        images = tf.ensure_shape(images, [None, *self.image_shape])
        n = tf.shape(images)[0]
        weights = None if weights is None else tf.reshape(self.to_float(weights), [n])
        with tf.control_dependencies(
            batches.assert_in_range(images, 0.0, 1.0, batches.IMAGES_IN_RANGE)
        ):
            images = tf.identity(images)
        if not self.condition_spec():
            return images, None, weights
        if condition is None:
            raise ValueError(batches.missing_condition(self))
        if self.attributes:
            return images, self._checked_attributes(condition), weights
        if self.condition_shape:
            condition = tf.ensure_shape(self.to_float(condition), [None, *self.condition_shape])
            return images, condition, weights
        # Labels may also be of shape (n, 1), and of unknown rank after batches of both shapes.
        labels = tf.reshape(ops.cast(condition, "int32"), [n])
        # This check must run before the labels are used as indices, which gives another error.
        with tf.control_dependencies(
            batches.assert_in_range(labels, 0, self.num_classes - 1, batches.LABELS_IN_RANGE)
        ):
            return images, tf.identity(labels), weights

    def _checked_attributes(self, values):
        values = tf.ensure_shape(ops.cast(values, "int32"), [None, *self.condition_shape])
        most = [size - 1 for size in self.attribute_sizes]
        check = batches.assert_in_range(values, 0, most, batches.ATTRIBUTES_IN_RANGE)
        with tf.control_dependencies(check):
            return tf.identity(values)

    def weighted_mean(self, values, weights):
        """Computes the mean over a batch of values times weights, as Keras reduces a loss.

        Args:
            values: float32 ``(n,)``.
            weights: float32 ``(n,)``, or None for 1.
        """
        return ops.mean(values if weights is None else values * weights)

    def to_float(self, tensor):
        """Casts to float32, also under mixed precision, because sums over pixels need it."""
        return ops.cast(tensor, keras.config.floatx())

    def compile(self, optimizer=None, **kwargs):
        """Configures training as ``keras.Model.compile`` does.

        Args:
            optimizer: str or keras.Optimizer. Defaults to Adam at 1e-3.
            **kwargs: Further arguments of ``keras.Model.compile``, except loss and metrics.

        Raises:
            ValueError: If a loss or metrics are given.
        """
        if kwargs.get("loss") or kwargs.get("metrics"):
            raise ValueError(
                "loss and metrics must not be given to compile, because the model has its own. "
                "Remove them."
            )
        optimizer = keras.optimizers.Adam(1e-3) if optimizer is None else optimizer
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config):
        """Compiles a loaded model with its saved optimizers."""
        # Without this method Keras only warns about a custom compile() and skips it.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.build_optimizers()

    def build_optimizers(self) -> None:
        """Creates the slot variables of each optimizer for the variables that it updates."""
        with self.distribute_strategy.scope():
            for name, (_, variables) in self.optimizers().items():
                optimizer = getattr(self, name)
                if not optimizer.built:
                    optimizer.build(variables)

    def save(self, filepath, *args, **kwargs):
        """Saves the model as ``keras.Model.save`` does, to a ``.keras`` file.

        Raises:
            ValueError: If ``filepath`` does not end in ``.keras``.
        """
        if not str(filepath).endswith(".keras"):
            raise ValueError(f"filepath must end in .keras; received: {str(filepath)!r}.")
        if self.compiled:
            self.build_optimizers()  # A loaded model has them, and warns if the file has none.
        super().save(filepath, *args, **kwargs)

    @property
    def metrics(self):
        """Metrics of the model, in the order of ``track``."""
        return self._trackers

    def predict_step(self, data):
        """Computes the signature ``call_signature`` of one batch of ``predict``."""
        x, condition, _ = keras.utils.unpack_x_y_sample_weight(data)
        alone = condition is None or not self.condition_spec()
        return self(x if alone else [x, condition], training=False)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing, because the constructor builds the networks.

        Keras would reduce a batch over the replicas, which fails with several workers.
        """

    def track(self, *names):
        """Creates the metrics that ``report`` updates."""
        self._trackers = [keras.metrics.Mean(name=name) for name in names]

    def report(self, images, *values):
        """Updates the metrics with the means over a batch and returns {name: mean so far}.

        Args:
            images: Images of the batch, by whose number its means are weighted.
            *values: Scalars in the order of ``track``.
        """
        n = tf.shape(images)[0]
        for tracker, value in zip(self._trackers, values):
            # A replica without images in the last batch of an epoch has NaN as the mean.
            tracker.update_state(tf.where(n > 0, value, 0), sample_weight=n)
        return {tracker.name: replicas.reducible(tracker.result()) for tracker in self._trackers}

    def scaled(self, loss, optimizer):
        """Scales a loss for mixed precision and for the sum of gradients over replicas."""
        return optimizer.scale_loss(loss / replicas.count())

    def apply_gradients(self, tape, scaled_loss, optimizer, variables) -> None:
        """Updates variables by the gradients of a loss that ``scaled`` returned."""
        optimizer.apply(tape.gradient(scaled_loss, variables), variables)

    def noise_seed(self, step, *more):
        """Returns a seed of a training step for ``tf.random.stateless_…`` functions.

        It depends on the model's seed, the step and the further numbers. A model that was saved and
        loaded therefore continues with the same noise. All replicas have the same seed, with which
        the functions of ``zoo.models.replicas`` draw different numbers on each.

        Args:
            step: Number of the training step.
            *more: Integers that distinguish the random numbers of one step.

        Returns:
            int64 ``(2,)``.
        """
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(step, tf.int64)])
        # The last number, 0, keeps the noise of runs that earlier versions started.
        for number in (*more, 0):
            seed = tf.random.fold_in(seed, tf.cast(number, tf.int64))
        return seed

    def noise(self, shape, step, *more):
        """Draws standard normal noise with the seed ``noise_seed(step, *more)``.

        The first axis of ``shape`` is that of the images of a batch.
        """
        return self.to_float(replicas.normal(shape, self.noise_seed(step, *more)))


def num_classes_or_none(num_classes):
    """Validates and returns ``num_classes``.

    Raises:
        ValueError: If it is neither a positive integer nor None.
    """
    return (
        num_classes if num_classes is None else validation.positive_int(num_classes, "num_classes")
    )


def refuse_unknown(unknown: dict, replaced: dict, family: type) -> None:
    """Raises an error for arguments that a constructor does not have.

    Args:
        unknown: {argument: value} of the unknown arguments.
        replaced: {argument of an earlier version: text of its replacement}.
        family: Class of the constructor.

    Raises:
        ValueError: If an argument is one of an earlier version.
        TypeError: If an argument is another one.
    """
    for argument in unknown:
        if argument in replaced:
            raise ValueError(f"{argument} was replaced; give {replaced[argument]} instead.")
        raise TypeError(f"{family.__name__} has no argument {argument!r}.")


def _arguments(method, model, args, kwargs) -> dict:
    """Returns {name: value} of the arguments of a Keras method's call."""
    bound = inspect.signature(method).bind(model, *args, **kwargs).arguments
    return {
        name: value for name, value in bound.items() if name not in ("self", "kwargs")
    } | bound.get("kwargs", {})


def _described(spec) -> dict:
    return {"dtype": spec.dtype.name, "shape": [None, *spec.shape[1:]]}
