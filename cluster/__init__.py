"""What every process shares: settings, names, log, storage, identity, metrics, deploy files."""
