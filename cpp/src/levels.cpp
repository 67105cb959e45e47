#include "levels.h"

#include <algorithm>
#include <cmath>

namespace phonemo {
namespace {

constexpr double kSilentPeak = 1e-4, kClippedShare = 1e-3, kOffset = 1e-2;
constexpr float kFullScale = 0.999F;
// Deviations of clips that are amplified (-100 to -50 dB of full scale), and the target.
constexpr double kLeastQuiet = 1e-5, kMostQuiet = 3e-3, kTarget = 0.1;

}  // namespace

Moments moments_of(const float* values, std::size_t count, std::size_t step) {
  Moments found;
  if (count == 0) return found;
  for (std::size_t at = 0; at < count; ++at) found.mean += static_cast<double>(values[at * step]);
  found.mean /= static_cast<double>(count);
  for (std::size_t at = 0; at < count; ++at) {
    const double apart = static_cast<double>(values[at * step]) - found.mean;
    found.variance += apart * apart;
  }
  found.variance /= static_cast<double>(count);
  return found;
}

bool boost_quiet(std::vector<float>& samples) {
  const double deviation = std::sqrt(moments_of(samples.data(), samples.size()).variance);
  if (!(deviation >= kLeastQuiet && deviation < kMostQuiet)) return false;
  const auto gain = static_cast<float>(kTarget / deviation);
  for (float& sample : samples) sample *= gain;
  return true;
}

void LevelMeter::add_raw(const float* block, std::size_t count, std::size_t channels) {
  frames += count;
  for (std::size_t frame = 0; frame < count; ++frame) {
    const float* first = block + frame * channels;
    at_full_scale_ += std::any_of(first, first + channels, [](float one) { return std::fabs(one) >= kFullScale; });
  }
}

void LevelMeter::add_mono(const float* samples, std::size_t count) {
  samples_ += count;
  for (std::size_t at = 0; at < count; ++at) {
    const auto sample = static_cast<double>(samples[at]);
    total_ += sample;
    lowest_ = std::min(lowest_, sample);
    highest_ = std::max(highest_, sample);
  }
}

std::vector<std::string> LevelMeter::warnings(bool is_truncated) const {
  const double mean = total_ / static_cast<double>(std::max<std::uint64_t>(1, samples_));
  std::vector<std::string> names;
  if (is_truncated) names.emplace_back("truncated");
  if (std::max(highest_ - mean, mean - lowest_) < kSilentPeak) names.emplace_back("silent");
  const bool is_clipped = static_cast<double>(at_full_scale_) >= kClippedShare * static_cast<double>(frames);
  if (is_clipped) names.emplace_back("clipped");
  if (std::fabs(mean) >= kOffset) names.emplace_back("dc_offset");
  return names;
}

}  // namespace phonemo
