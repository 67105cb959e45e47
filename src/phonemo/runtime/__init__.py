"""The light runtime: trained networks without torch."""
