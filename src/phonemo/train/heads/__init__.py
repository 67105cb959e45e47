"""Heads fitted in closed form or by L-BFGS on fixed vectors."""
