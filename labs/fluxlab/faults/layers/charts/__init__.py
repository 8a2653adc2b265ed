"""Faults of chart repositories: they do not answer, answer wrongly, or have lost something."""

from collections.abc import Sequence
from typing import Any

from fluxlab.faults.base import Fault

from .server import (
    ChartsAltered,
    ChartsHang,
    ChartsHugeIndex,
    ChartsRateLimited,
    ChartsStaleIndex,
    ChartsTruncated,
    ChartsUnauthorized,
    ChartsUnavailable,
    ChartsWrongCertificate,
)
from .yanked import ChartYanked

FAULTS: Sequence[type[Fault[Any]]] = (
    ChartsUnavailable,
    ChartsRateLimited,
    ChartsUnauthorized,
    ChartsHang,
    ChartsTruncated,
    ChartsAltered,
    ChartsStaleIndex,
    ChartsHugeIndex,
    ChartsWrongCertificate,
    ChartYanked,
)
