"""Metrics that the recipes of all three ideas share, {name: settings}."""

# On the features of the evaluation classifier. The first one is the headline in README.
SAMPLES = {
    "frechet": {},
    "kernel": {},
    "precision": {},
    "recall": {},
    "density": {},
    "coverage": {},
    "memorization": {},
}

# For models that are conditional on a label.
LABELS = {
    "label_accuracy": {},
    "diversity": {},
    "classification_accuracy": {},
    "nearest_neighbor": {"samples": 50_000},
    "nearest_neighbor_real": {},
}

# The data set whose test images are anomalies for a model that is trained on the first one.
OTHERS = {"mnist": "fashion_mnist", "fashion_mnist": "mnist"}


def sample_metrics(dataset: str, *, labels: bool = False) -> dict:
    """Returns the metrics of any generative model.

    Args:
        dataset: One of ``OTHERS``, for the data set of the anomalies.
        labels: Whether the model is conditional on a label.
    """
    anomalies = {f"anomaly_{OTHERS[dataset]}": {}, "anomaly_noise": {}}
    return SAMPLES | (LABELS if labels else {}) | anomalies


def latent_metrics(*, labels: bool = False) -> dict:
    """Returns the metrics of any model with an encoder.

    Args:
        labels: Whether the encoder is given the label.
    """
    return {"active_units": {}} | ({} if labels else {"latent_accuracy": {}})
