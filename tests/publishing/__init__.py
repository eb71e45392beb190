"""Tests of zoo.publishing."""
