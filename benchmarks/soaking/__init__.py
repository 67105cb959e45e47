"""The parts of benchmarks/soak.py: clients, batches, process measurements and the verdict."""
