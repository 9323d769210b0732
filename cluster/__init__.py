"""What every process shares: settings, names, event log, storage, identity, metrics, deploy files."""
