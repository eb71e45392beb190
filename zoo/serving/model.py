"""A model behind the server: loaded and verified once, then computed for one request at a time."""

from pathlib import Path

import kserve
import numpy as np
from tensorflow.core.protobuf import saved_model_pb2

from zoo import catalog
from zoo.loading import Artifact
from zoo.serving import reading
from zoo.serving.limits import Limits, Refused, Share, parsed_bytes

# Rows that are computed at once: more of them are not faster, and a model's own memory grows with
# them.
CHUNK = 128
# A long way to write a number.
NUMBER = 0.12345678901234567


class Served(kserve.Model):
    """One model, whatever the protocol: KServe times its three steps for the metrics.

    Attributes:
        card: its card.
        folder: folder of the artifact.
        version: name of the version directory.
        signatures: SignatureDef by name.
        inference: the model on the SavedModel runtime.
        rows: number of rows that a request may have.
    """

    def __init__(self, name: str, folder: Path, limits: Limits):
        """Loads the model.

        Raises:
            OSError: where a file is missing or the SavedModel cannot be loaded.
            catalog.DamagedFileError: where a file is not the one of the card.
        """
        super().__init__(name)
        artifact = Artifact(name, folder)
        self.folder, self.card = folder, artifact.card
        version = catalog.version(folder, self.card)
        self.version = version.name
        try:
            self.inference = artifact.load("saved_model")
            saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
        except (FileNotFoundError, catalog.DamagedFileError):
            raise
        except Exception as error:  # TensorFlow raises errors of many classes.
            reason = " ".join(str(error).split())[:200]
            raise OSError(f"{name} cannot be loaded from {version} ({reason}).") from error
        self.signatures = {
            signature: definition
            for signature, definition in saved.meta_graphs[0].signature_def.items()
            if definition.method_name == "tensorflow/serving/predict"
        }
        self._costs = {
            name: self._row_bytes(definition) for name, definition in self.signatures.items()
        }
        row = max(sum(costs) for costs in self._costs.values())
        self.rows = max(1, (limits.request_bytes - limits.body_bytes) // row)
        self.ready = True

    def _row_bytes(self, definition) -> tuple[int, int]:
        """Memory for a row of a signature: as JSON, and from its arrays to the answer's JSON."""
        row, numbers = {}, 0
        for name, info in definition.inputs.items():
            kind, shape = reading.specification(info)
            row[name] = np.full(shape[1:], NUMBER if kind.kind == "f" else 2**62 + 1).tolist()
            numbers += int(np.prod(shape[1:]))
        for info in definition.outputs.values():
            kind, shape = reading.specification(info)
            # A string holds a picture, at most its bytes and a header, also in base64.
            numbers += int(np.prod(shape[1:] if kind.kind == "f" else self.card.image_shape) + 50)
        # Arrays as float64, float32 and TensorFlow's copy; the text of an answer takes up to 20.
        return parsed_bytes(reading.dumps(row)), 40 * numbers

    async def preprocess(self, payload, headers=None):
        """Reads a request: payload is (function of model and body, body, the request's share)."""
        read, body, share = payload
        share.hold(parsed_bytes(body))
        call = await share.work(read, self, body)
        share.hold(len(body) + call.rows * self._costs[call.signature][1])
        return call, share

    async def predict(self, payload, headers=None):
        call, share = payload
        return await share.work(self._compute, call, share), call, share

    async def postprocess(self, payload, headers=None):
        outputs, call, share = payload
        return await share.work(call.write, outputs)

    def _compute(self, call: reading.Call, share: Share) -> dict[str, np.ndarray]:
        parts = []
        for start in range(0, call.rows, CHUNK):
            if share.abandoned:
                raise TimeoutError
            rows = {name: values[start : start + CHUNK] for name, values in call.inputs.items()}
            parts.append(self.inference.compute(call.signature, rows))
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if not all(
            np.isfinite(values).all() for values in outputs.values() if values.dtype.kind == "f"
        ):
            raise Refused(f"{self.name} has no finite answer to these inputs: they are too large.")
        return outputs
