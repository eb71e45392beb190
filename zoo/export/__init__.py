"""Export of a model to what is deployed: SavedModel versions for TF Serving, and TF Lite files."""

from zoo.export.write import next_version, publish_version, write_tflite

__all__ = ["next_version", "publish_version", "write_tflite"]
