// Half-overlapping windows, cut while samples arrive.
#pragma once

#include <cstddef>
#include <vector>

namespace phonemo {

constexpr double kWindowSeconds = 3.0;
constexpr double kLeastSpeechSeconds = 0.25;  // windows with less are skipped

struct Window {
  std::size_t start;  // its first sample
  std::vector<float> samples;

  std::size_t end() const { return start + samples.size(); }
};

class SlidingWindows {
 public:
  explicit SlidingWindows(double window_seconds = kWindowSeconds);

  // The windows that the next samples complete.
  std::vector<Window> push(const float* samples, std::size_t count);
  // The last one, where samples remain that no window covers.
  std::vector<Window> finish() const;
  std::size_t hop() const { return hop_; }
  std::size_t samples() const { return samples_; }

 private:
  std::size_t hop_, samples_ = 0, start_ = 0;
  std::vector<float> pending_;
};

}  // namespace phonemo
