// The level of a recording, and what it says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace phonemo {

struct Moments {
  double mean = 0, variance = 0;
};

// Mean and variance, in double precision, of every `step`-th of `count` values.
Moments moments_of(const float* values, std::size_t count, std::size_t step = 1);

// Amplify a very quiet clip, whose variance the network's normalization would lose; return whether
// it was.
bool boost_quiet(std::vector<float>& samples);

class LevelMeter {
 public:
  std::uint64_t frames = 0;

  // Add frames at the file's rate, (frame, channel).
  void add_raw(const float* block, std::size_t count, std::size_t channels);
  // Add the mix at 16 kHz.
  void add_mono(const float* samples, std::size_t count);
  std::vector<std::string> warnings(bool is_truncated) const;

 private:
  std::uint64_t at_full_scale_ = 0, samples_ = 0;
  double total_ = 0;
  double lowest_ = std::numeric_limits<double>::infinity();
  double highest_ = -std::numeric_limits<double>::infinity();
};

}  // namespace phonemo
