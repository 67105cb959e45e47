"""What a client reads when its request is refused."""
