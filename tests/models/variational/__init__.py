"""Tests of zoo.models.variational."""
