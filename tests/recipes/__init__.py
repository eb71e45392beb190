"""Tests of zoo.recipes."""
