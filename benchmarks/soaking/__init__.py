"""What benchmarks/soak.py is made of: clients, batches, looks at processes, and a verdict."""
