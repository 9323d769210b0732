"""Named analyses over canonical samples: running, possession, heat map, shots on goal.

They answer the queries of the DEBS 2013 Grand Challenge (Mutschler, Ziekow, Jerzak: The DEBS 2013
grand challenge, DEBS '13) on any recording. Each is one object with one door: `handle(samples)` in
order of time, `snapshot()`/`restore()`, and tables of what is known. State is bounded; where the
stream is cut does not matter.
"""
