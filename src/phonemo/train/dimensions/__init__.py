"""Studies of arousal and valence that are derived from emotion labels."""
