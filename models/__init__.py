"""The kernel: telemetry schema, signal processing, metrics, event rules, policies, simulator.

Pure: no Ray, no sockets, no files, no environment, no wall clock, no global randomness. Torch only
in `models.nets`.
"""
