"""The edge: what happens to samples in the stadium before they reach the telemetry log."""
