"""Finds the packages by itself, and adds the trained models; everything else is in setup.cfg."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["zoo", "zoo.*"]), "zoo.saved_models"])
