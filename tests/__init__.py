"""Tests of zoo; the folders mirror those of the package."""
