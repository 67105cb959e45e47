"""The models of a server, with the profiles and the phoneme options that requests choose."""
