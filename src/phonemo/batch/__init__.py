"""Many recordings, on one machine or many: planned, heard part by part, resumable."""
