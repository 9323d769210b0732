"""Metric formulas: one definition each, used live and in the batch recomputation alike."""
