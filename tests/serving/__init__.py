"""Tests of zoo.serving."""
