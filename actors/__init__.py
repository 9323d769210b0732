"""The Ray edge that moves data: stadium ingest, flow pool, twin store, supervisor."""
