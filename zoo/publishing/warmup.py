"""Warm-up requests of TF Serving, which it replays when it loads a model."""

from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from zoo import artifact
from zoo.catalog import Card


def write_requests(card: Card, version: Path) -> None:
    """Writes one request of one row for each signature, so that the first real request is fast.

    Args:
        card: Card of the model, which lists the signatures and their inputs.
        version: The version directory.
    """
    path = version / artifact.WARMUP
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, signature in card.signatures.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = card.name
            request.model_spec.signature_name = name
            for key, spec in signature["inputs"].items():
                zeros = tf.zeros([1, *spec["shape"][1:]], spec["dtype"])
                request.inputs[key].CopyFrom(tf.make_tensor_proto(zeros))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
