"""Pretraining: distillation of a Whisper encoder into a wav2vec 2.0 network."""
