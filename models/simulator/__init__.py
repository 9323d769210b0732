"""A simulated match: play, sensors, faults and truth, pure and seeded."""
