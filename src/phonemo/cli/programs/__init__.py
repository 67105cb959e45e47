"""Commands that start a program: the server, a batch."""
