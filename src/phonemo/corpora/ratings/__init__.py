"""What raters said of an utterance: arousal, valence, dominance, and votes for emotions."""
