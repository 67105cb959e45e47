#include "audio_source.h"

#include <algorithm>

#include "../phonemo.h"

namespace phonemo {

ArraySource::ArraySource(const float* samples, std::size_t count, int samples_per_second)
    : samples_(samples), left_(count) {
  name = "array";
  rate = samples_per_second;
  frames = count;
  check_rate(name, rate);
}

std::vector<float> ArraySource::read() {
  const std::size_t count = std::min(left_, kBlockFrames);
  std::vector<float> block(samples_, samples_ + count);
  samples_ += count;
  left_ -= count;
  return block;
}

void check_rate(const std::string& name, std::int64_t rate) {
  if (rate >= kLeastRate && rate <= kMostRate) return;
  throw Error("unsupported_audio", name + ": expected a sample rate from " + std::to_string(kLeastRate) +
                                       " to " + std::to_string(kMostRate) + " Hz, got " +
                                       std::to_string(rate) + " Hz");
}

void check_channels(const std::string& name, std::int64_t channels) {
  if (channels >= 1 && channels <= kMostChannels) return;
  throw Error("unsupported_audio", name + ": expected 1 to " + std::to_string(kMostChannels) +
                                       " channels, got " + std::to_string(channels));
}

}  // namespace phonemo
