"""Inference on every runtime: shared methods, seeded noise and validation of arguments."""
