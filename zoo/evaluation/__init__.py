"""Evaluation metrics: a recipe names them with their settings, and a card holds the values."""

from zoo.evaluation.metric import Metric
from zoo.evaluation.metrics import METRICS, better, check, choose, evaluate, measure, validate
from zoo.evaluation.splits import Splits

__all__ = [
    "METRICS",
    "Metric",
    "Splits",
    "better",
    "check",
    "choose",
    "evaluate",
    "measure",
    "validate",
]
