"""What divides a server between its clients: places, turns, time and memory."""
