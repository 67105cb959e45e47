"""What the bytes of each audio format say: frames, chunks, pieces, and FFmpeg behind its guards."""
