"""What keeping freed memory is worth in training (phonemo.train.memory).

    python benchmarks/training_memory.py [ROUNDS]

Two fresh processes take turns, one as glibc would have it and one with memory kept; each times
training steps of a network of phonemo-small's shape on 16 clips of 3 s. Printed: the ratio of the
two medians of every round, its median and its range. How much it is depends on what a page fault
costs on the machine.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

STEPS = 6


def steps(keep: bool) -> float:
    """Median seconds of a training step in this process."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    from phonemo.train.memory import keep_freed_memory

    torch.set_num_threads(2)
    torch.manual_seed(1)
    if keep and not keep_freed_memory():
        sys.exit("this system's C library has no mallopt: nothing to compare")
    shape = Wav2Vec2Config(
        hidden_size=512,
        num_hidden_layers=4,
        num_attention_heads=8,
        intermediate_size=2048,
        conv_dim=(512,) * 4,
        conv_kernel=(400, 1, 3, 3),
        conv_stride=(160, 1, 1, 2),
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        mask_time_prob=0.0,
    )
    network = Wav2Vec2Model(shape)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-5)
    clips = torch.randn(16, 48_000)
    found = []
    for _ in range(STEPS):
        start = time.perf_counter()
        network(clips).last_hidden_state.square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
        found.append(time.perf_counter() - start)
    return statistics.median(found[1:])


def in_a_process(how: str) -> float:
    """The same in a fresh one."""
    done = subprocess.run([sys.executable, __file__, how], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr.strip())
    return float(done.stdout)


def main(rounds: int) -> None:
    """Print a line a round and the summary."""
    ratios = []
    for number in range(rounds):
        order = ("default", "keep") if number % 2 == 0 else ("keep", "default")
        seconds = {how: in_a_process(how) for how in order}
        ratios.append(seconds["default"] / seconds["keep"])
        told = ", ".join(f"{how} {seconds[how]:.2f} s a step" for how in sorted(seconds))
        print(f"round {number + 1}: {told}, ratio {ratios[-1]:.2f}", flush=True)
    middle = statistics.median(ratios)
    print(f"default / keep: {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    argument = sys.argv[1] if len(sys.argv) > 1 else "5"
    if argument in ("default", "keep"):
        print(steps(argument == "keep"))
    else:
        main(int(argument))
