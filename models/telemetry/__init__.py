"""The canonical telemetry schema: kinds, blocks, records, roster, flags, reasons and codecs."""
