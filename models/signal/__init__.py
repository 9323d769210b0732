"""Causal signal processing on sample columns. Pure; compiled per-sample steps."""
