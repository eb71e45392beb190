"""Utilities that every part of the package shares."""
