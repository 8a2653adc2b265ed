"""Faults of the TCP hops between the parts of a cluster: toxics of their toxiproxy."""

from fluxlab.faults.base import FaultTypes

from .toxic import LinkBandwidth, LinkHang, LinkLatency, LinkLimit, LinkReset, LinkSlices

FAULTS: FaultTypes = (LinkLatency, LinkBandwidth, LinkHang, LinkReset, LinkSlices, LinkLimit)
