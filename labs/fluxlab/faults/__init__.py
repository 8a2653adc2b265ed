"""Faults: what can be broken on purpose, with a proof that it was, and a proof that it is whole again."""
