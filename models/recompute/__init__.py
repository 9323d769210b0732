"""Recomputation of an ended match: zero-phase estimates, final metrics, corrections. Pure."""
