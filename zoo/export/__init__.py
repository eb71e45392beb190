"""Export of models: SavedModel versions for TF Serving, and TF Lite files."""

from zoo.export.write import export_saved_model, export_tflite, next_version

__all__ = ["export_saved_model", "export_tflite", "next_version"]
