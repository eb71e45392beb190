"""Utilities for all parts of the package."""
