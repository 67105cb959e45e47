"""Training and evaluation of networks: everything that needs both torch and corpora."""
