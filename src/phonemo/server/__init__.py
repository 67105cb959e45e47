"""The HTTP server and its page: FastAPI over the light runtime; no torch."""
