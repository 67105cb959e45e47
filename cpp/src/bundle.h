// The bundle's folder: its card, and its files with their SHA-256 checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace phonemo {

// Frame timing: frame n covers `field` samples from n * `hop` on. Positions count hops, and frame n
// extends from position n to n + 1.
struct FrameGrid {
  std::int64_t field = 720, hop = 320;

  double sample_at(double position) const {
    return (position - 0.5) * static_cast<double>(hop) + static_cast<double>(field) / 2;
  }
};

// The fields of bundle.json that a runtime uses.
struct Card {
  std::string name, precision;
  std::vector<std::string> labels;
  std::vector<std::string> symbols;  // empty: no phoneme head
  bool normalise = true;
  std::int64_t fewest_samples = 1;
  FrameGrid grid;
  double window_seconds = 30, temperature = 1, abstain_below = 0;
  std::string sha256, head_sha256, adaptation_sha256, decoder_sha256;  // empty: no such file
  std::string network;                   // the adjacent bundle with the network; empty: none
  std::vector<std::string> dimensions;   // of a head trained on ratings
};

struct Bundle {
  std::string folder;
  Card card;
  std::string model, head, adaptation, decoder;  // contents; empty where there is none
};

// Read and check a bundle; CheckpointError where a part is missing, malformed or changed.
Bundle open_bundle(const std::string& folder);

// Parse a card, for messages named `path`.
Card parse_card(const std::string& text, const std::string& path);

}  // namespace phonemo
