"""The curve of a batch's speed over its workers: service times, their simulation, the picture."""
