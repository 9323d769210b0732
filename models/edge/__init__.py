"""The edge: what happens to samples in the stadium, before they are written to the telemetry log."""
