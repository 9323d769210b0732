"""Nets (PyTorch) with their rule fallbacks; `contract` and `fallback` import no torch."""
