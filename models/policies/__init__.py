"""Pure decisions: who may see what, how large the pool is, which worker owns which flow."""
