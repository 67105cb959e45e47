#include "mixing.h"

#include <algorithm>
#include <cmath>

#include "levels.h"

namespace phonemo {
namespace {

constexpr double kFrameSeconds = 0.016, kSoundPower = 1e-8;
constexpr double kDecideSeconds = 1.0, kHeldSeconds = 4.0;
constexpr double kCancelled = 0.3, kCancelledPart = 0.1, kPartSeconds = 1.0, kPartPower = 0.01;
constexpr double kDifferent = 0.6, kLivelyChannelDb = 3.0;

std::size_t samples_of(double seconds, int rate) {
  return static_cast<std::size_t>(std::nearbyint(seconds * rate));
}

// In double precision, so that the mean of identical channels equals each of them.
void mix(const float* block, std::size_t frames, std::size_t channels, float* mono) {
  for (std::size_t frame = 0; frame < frames; ++frame) {
    double sum = 0;
    for (std::size_t channel = 0; channel < channels; ++channel) {
      sum += static_cast<double>(block[frame * channels + channel]);
    }
    mono[frame] = static_cast<float>(sum / static_cast<double>(channels));
  }
}

}  // namespace

ChannelRelation::ChannelRelation(std::size_t channels, int rate)
    : channels_(channels),
      frame_(std::max<std::size_t>(1, samples_of(kFrameSeconds, rate))),
      power_(channels),
      levels_(channels),
      products_(channels * channels) {}

void ChannelRelation::add(const std::vector<float>& block) {
  rest_.insert(rest_.end(), block.begin(), block.end());
  const std::size_t step = frame_ * channels_, whole = rest_.size() / step * step;
  for (std::size_t at = 0; at < whole; at += step) add_frame(rest_.data() + at);
  rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(whole));
}

void ChannelRelation::add_frame(const float* frame) {
  std::vector<double> power(channels_), level(channels_);
  for (std::size_t one = 0; one < channels_; ++one) power[one] = moments_of(frame + one, frame_, channels_).variance;
  if (!(*std::max_element(power.begin(), power.end()) >= kSoundPower)) return;
  std::vector<float> mono(frame_);
  mix(frame, frame_, channels_, mono.data());
  mixed_ += moments_of(mono.data(), frame_).variance;
  for (std::size_t one = 0; one < channels_; ++one) {
    power_[one] += power[one];
    level[one] = 10 * std::log10(power[one] + kSoundPower / 10);
    levels_[one] += level[one];
  }
  for (std::size_t one = 0; one < channels_; ++one) {
    for (std::size_t other = 0; other < channels_; ++other) products_[one * channels_ + other] += level[one] * level[other];
  }
  ++frames_;
}

double ChannelRelation::sound_seconds() const { return static_cast<double>(frames_) * kFrameSeconds; }

std::size_t ChannelRelation::loudest() const {
  return static_cast<std::size_t>(std::max_element(power_.begin(), power_.end()) - power_.begin());
}

bool ChannelRelation::cancel() const {
  double independent = 0;
  for (const double power : power_) independent += power;
  independent /= static_cast<double>(channels_ * channels_);
  return frames_ > 0 && mixed_ < kCancelled * independent;
}

std::optional<std::size_t> ChannelRelation::cancelled_by(const float* part, const float* mixed,
                                                         std::size_t frames) const {
  std::vector<double> power(channels_);
  double total = 0;
  for (std::size_t one = 0; one < channels_; ++one) total += power[one] = moments_of(part + one, frames, channels_).variance;
  const auto most = std::max_element(power.begin(), power.end());
  const double all = *std::max_element(power_.begin(), power_.end());
  const double usual = all / static_cast<double>(std::max<std::size_t>(1, frames_));
  const bool has_sound = *most >= std::max(kSoundPower, kPartPower * usual);
  const double limit = kCancelledPart * total / static_cast<double>(channels_ * channels_);
  if (!has_sound || !(moments_of(mixed, frames).variance < limit)) return std::nullopt;
  return static_cast<std::size_t>(most - power.begin());
}

bool ChannelRelation::differ() const {
  if (sound_seconds() < kDecideSeconds) return false;
  const auto count = static_cast<double>(frames_);
  const auto covariance = [&](std::size_t one, std::size_t other) {
    return products_[one * channels_ + other] / count - levels_[one] / count * (levels_[other] / count);
  };
  const auto deviation = [&](std::size_t one) { return std::sqrt(std::max(covariance(one, one), 0.0)); };
  for (std::size_t one = 0; one < channels_; ++one) {
    for (std::size_t other = 0; other < channels_; ++other) {
      const double first = deviation(one), second = deviation(other);
      if (first < kLivelyChannelDb || second < kLivelyChannelDb) continue;
      if (covariance(one, other) < kDifferent * first * second) return true;
    }
  }
  return false;
}

ChannelMixer::ChannelMixer(std::size_t channels, int rate, int channel)
    : channels_(channels), rate_(rate), channel_(channel), relation_(channels, rate) {}

std::vector<float> ChannelMixer::push(const std::vector<float>& block) {
  if (channel_ > 0) return only(block, static_cast<std::size_t>(channel_ - 1));
  if (channels_ == 1) return block;
  relation_.add(block);
  held_.push_back(block);
  held_frames_ += block.size() / channels_;
  const double sound = relation_.sound_seconds();
  const bool is_enough = sound >= kDecideSeconds || static_cast<double>(held_frames_) >= kHeldSeconds * rate_;
  if (!is_decided_ && sound > 0 && !is_enough) return {};
  is_decided_ = is_decided_ || is_enough;
  return release();
}

std::optional<std::string> ChannelMixer::warning() const {
  if (loudest_ || parts_cancel_) return "opposite_phase";
  if (relation_.differ()) return "channels_differ";
  return std::nullopt;
}

std::vector<float> ChannelMixer::release() {
  if (!loudest_ && relation_.cancel()) loudest_ = relation_.loudest();
  std::vector<float> all;
  for (const std::vector<float>& block : held_) {
    const std::vector<float> mono = loudest_ ? only(block, *loudest_) : mixed(block);
    all.insert(all.end(), mono.begin(), mono.end());
  }
  held_.clear();
  held_frames_ = 0;
  return all;
}

std::vector<float> ChannelMixer::only(const std::vector<float>& block, std::size_t channel) const {
  std::vector<float> mono(block.size() / channels_);
  for (std::size_t frame = 0; frame < mono.size(); ++frame) mono[frame] = block[frame * channels_ + channel];
  return mono;
}

// The mean; where the channels of a part cancel each other, the loudest of them.
std::vector<float> ChannelMixer::mixed(const std::vector<float>& block) {
  const std::size_t frames = block.size() / channels_;
  std::vector<float> mono(frames);
  mix(block.data(), frames, channels_, mono.data());
  const std::size_t size = std::max<std::size_t>(1, std::min(samples_of(kPartSeconds, rate_), frames));
  for (std::size_t first = 0; first < frames; first += size) {
    const std::size_t count = std::min(size, frames - first);
    const float* part = block.data() + first * channels_;
    if (2 * count >= size) loudest_of_part_ = relation_.cancelled_by(part, mono.data() + first, count);
    if (!loudest_of_part_) continue;
    for (std::size_t at = 0; at < count; ++at) mono[first + at] = part[at * channels_ + *loudest_of_part_];
    parts_cancel_ = true;
  }
  return mono;
}

}  // namespace phonemo
