"""Parts of backbones that transformers does not have."""
