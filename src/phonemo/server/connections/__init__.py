"""Connections: their protocols, their places, and requests that the parser refuses."""
