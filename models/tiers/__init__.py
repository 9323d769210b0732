"""What the tiers hold: pure arrangement of rows; the jobs that move them live in `jobs`."""
