"""Event rules: from clean samples to sprints, impacts, kicks and the rest, and the event
envelope."""
