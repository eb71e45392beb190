"""Tests of zoo.utils."""
