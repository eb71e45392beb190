"""Inference on every runtime: shared methods, seeded noise, argument validation."""
