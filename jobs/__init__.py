"""What is run: the `touchline` command and the batch jobs. The composition roots."""
