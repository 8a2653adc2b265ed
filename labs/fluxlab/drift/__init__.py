"""Drift: what differs from git, who did it, and what will become of it."""
