"""Tests of flow models."""
