"Writes checkpoints of the real formats and sizes with random weights, as a user has them on disk."
