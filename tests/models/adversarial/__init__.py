"""Tests of zoo.models.adversarial."""
