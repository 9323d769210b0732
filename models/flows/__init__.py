"""The flow kernel: twins of athletes and ball, their metrics and events, one flow per subject."""
