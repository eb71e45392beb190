"""Tests of zoo.inference."""
