"""The fused kernel: many interleaved streams of one wearable, cleaned and summed up in one pass."""
