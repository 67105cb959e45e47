"""Find utterances that are copies or near-copies of the same recording."""
