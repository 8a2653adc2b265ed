"""Rehearsals: chaos experiments as files, run with proofs and judged: pass, fail, or inconclusive."""
