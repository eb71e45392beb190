"""HTTP server with TF Serving's REST API, the Open Inference Protocol, metrics and web pages."""

from zoo.serving.limits import Limits
from zoo.serving.server import serve, url

__all__ = ["Limits", "serve", "url"]
