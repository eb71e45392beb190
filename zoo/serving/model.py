"""Model of the server, which is loaded and verified once and then computes requests."""

from pathlib import Path

import kserve
import numpy as np
from tensorflow.core.protobuf import saved_model_pb2

from zoo import catalog
from zoo.loading import Artifact
from zoo.serving import reading
from zoo.serving.limits import Limits, Refused, Share, parsed_bytes

# Number of rows that are computed at once. More rows are not faster and need more memory.
CHUNK = 128
# Number with the longest text in JSON.
NUMBER = 0.12345678901234567


class Served(kserve.Model):
    """Model that all protocols share. KServe measures the time of its three steps.

    Args:
        name: Name of the model.
        folder: Folder of the artifact.
        limits: Limits of the server.

    Attributes:
        card: Card of the model.
        folder: Folder of the artifact.
        version: Name of the version directory.
        signatures: {name: SignatureDef}.
        inference: The model on the SavedModel runtime.
        rows: Largest number of rows in a request.
        picture_pixels: Largest number of pixels of all pictures in a request.
    """

    def __init__(self, name: str, folder: Path, limits: Limits):
        """Loads the model.

        Raises:
            OSError: If a file is missing or the SavedModel cannot be loaded.
            catalog.DamagedFileError: If a file differs from its description in the card.
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
            raise OSError(
                f"{name} cannot be loaded from {version} ({reason}). Restore its files."
            ) from error
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
        self.picture_pixels = limits.picture_pixels
        self.ready = True

    def _row_bytes(self, definition) -> tuple[int, int]:
        """Returns the bytes for one row of a signature: as JSON, and from arrays to the answer."""
        row, numbers = {}, 0
        for name, info in definition.inputs.items():
            kind, shape = reading.specification(info)
            row[name] = np.full(shape[1:], NUMBER if kind.kind == "f" else 2**62 + 1).tolist()
            numbers += int(np.prod(shape[1:]))
        for info in definition.outputs.values():
            kind, shape = reading.specification(info)
            # A string is a PNG file, at most the image's bytes and a header, also as base64.
            numbers += int(np.prod(shape[1:] if kind.kind == "f" else self.card.image_shape) + 50)
        # Bytes of a number: as float64, as float32, in TensorFlow's copy, and up to 20 as text.
        return parsed_bytes(reading.dumps(row)), 40 * numbers

    async def preprocess(self, payload, headers=None):
        """Reads a request.

        Args:
            payload: (function of model and body that returns a ``Call``, body, share).
            headers: Not used.

        Returns:
            (call, share).

        Raises:
            Refused: If the request is invalid or needs too much memory.
        """
        read, body, share = payload
        share.hold(parsed_bytes(body))
        call = await share.work(read, self, body)
        share.hold(len(body) + call.rows * self._costs[call.signature][1])
        return call, share

    async def predict(self, payload, headers=None):
        """Computes the outputs of a call, (call, share) to (outputs, call, share)."""
        call, share = payload
        return await share.work(self._compute, call, share), call, share

    async def postprocess(self, payload, headers=None):
        """Writes the JSON document of the outputs, as bytes."""
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
        floats = [values for values in outputs.values() if values.dtype.kind == "f"]
        if not all(np.isfinite(values).all() for values in floats):
            raise Refused(f"{self.name} has no finite answer to these inputs. Give smaller values.")
        return outputs
