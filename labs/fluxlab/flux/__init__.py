"""Flux: bootstrap, and whether a commit has arrived."""
