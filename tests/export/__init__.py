"""Tests of zoo.export."""
