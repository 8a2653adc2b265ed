"""Clusters: the interface of a backend, the `local` backend, and a client of the Kubernetes API."""
