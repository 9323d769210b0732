"""Gait: steps from a trunk sensor, strikes and toe-offs from foot sensors, what strides tell."""
