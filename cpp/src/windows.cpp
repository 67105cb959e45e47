#include "windows.h"

#include "audio_source.h"

namespace phonemo {

SlidingWindows::SlidingWindows(double window_seconds) : hop_(static_cast<std::size_t>(window_seconds * kRate) / 2) {}

std::vector<Window> SlidingWindows::push(const float* samples, std::size_t count) {
  samples_ += count;
  pending_.insert(pending_.end(), samples, samples + count);
  std::vector<Window> windows;
  std::size_t at = 0;
  for (; pending_.size() - at >= 2 * hop_; at += hop_) {
    const float* first = pending_.data() + at;
    windows.push_back({start_, std::vector<float>(first, first + 2 * hop_)});
    start_ += hop_;
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(at));
  return windows;
}

std::vector<Window> SlidingWindows::finish() const {
  const std::size_t covered = start_ == 0 ? 0 : start_ + hop_;
  if (samples_ <= covered) return {};
  return {{start_, pending_}};
}

}  // namespace phonemo
