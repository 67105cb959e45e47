"""Sets what numpy, torch, transformers and matplotlib read as they are imported."""

from __future__ import annotations

import os

# Threads do not speed up tiny tensors, and they slow down two test processes on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
