"""The way out of a lab: what answers for the hosts that manifests name."""

from .gateway import Gateway
from .requestlog import Entry, RequestLog
from .routes import Middleware, Routes

__all__ = ["Entry", "Gateway", "Middleware", "RequestLog", "Routes"]
