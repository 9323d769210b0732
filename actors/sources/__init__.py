"""Where a venue's samples come from: each source gives raw batches and can resume at a cursor."""
