"""Faults of chart repositories: they do not answer, answer wrongly, or have lost something."""

from fluxlab.faults.base import FaultTypes

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

FAULTS: FaultTypes = (
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
