"""Pretraining: a wav2vec 2.0 network learns to hear as a Whisper encoder does."""
