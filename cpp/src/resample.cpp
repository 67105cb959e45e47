#include "resample.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "audio_source.h"

namespace phonemo {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kPass = 0.914, kAttenuationDb = 128;  // fitted to the impulse response of soxr HQ
// Rates with more steps between two input samples use the nearest of as many filters.
constexpr std::int64_t kMostPhases = 1024;

// The modified Bessel function of order zero.
double bessel(double x) {
  double sum = 1, term = 1;
  for (int at = 1; term > sum * 1e-12; ++at) {
    term *= x / (2 * at) * (x / (2 * at));
    sum += term;
  }
  return sum;
}

}  // namespace

Resampler::Resampler(int rate) {
  const std::int64_t common = std::gcd(static_cast<std::int64_t>(rate), std::int64_t{kRate});
  up_ = kRate / common;
  down_ = rate / common;
  const double lower = std::min(1.0, static_cast<double>(kRate) / rate);  // of two rates, per input sample
  const double transition = kPi * lower * (1 - kPass);
  reach_ = static_cast<std::int64_t>(std::ceil((kAttenuationDb - 8) / (2.285 * transition) / 2));
  phases_ = std::min(up_, kMostPhases);
  make_filters(lower * (1 + kPass) / 2);
}

void Resampler::make_filters(double cutoff) {
  const double beta = 0.1102 * (kAttenuationDb - 8.7), scale = 1 / bessel(beta);
  const auto taps = static_cast<std::size_t>(2 * reach_);
  filters_.resize(static_cast<std::size_t>(phases_) * taps);
  std::vector<double> filter(taps);
  for (std::int64_t phase = 0; phase < phases_; ++phase) {
    const double offset = static_cast<double>(phase) / static_cast<double>(phases_);
    double sum = 0;
    for (std::size_t tap = 0; tap < taps; ++tap) {
      const double apart = static_cast<double>(tap) - static_cast<double>(reach_ - 1) - offset;
      const double share = apart / static_cast<double>(reach_);
      const double window = bessel(beta * std::sqrt(std::max(0.0, 1 - share * share))) * scale;
      const double angle = kPi * cutoff * apart;
      filter[tap] = window * (apart == 0 ? 1 : std::sin(angle) / angle);
      sum += filter[tap];
    }
    float* target = filters_.data() + static_cast<std::size_t>(phase) * taps;
    for (std::size_t tap = 0; tap < taps; ++tap) target[tap] = static_cast<float>(filter[tap] / sum);
  }
}

std::vector<float> Resampler::push(const float* samples, std::size_t count) {
  held_.insert(held_.end(), samples, samples + count);
  received_ += static_cast<std::int64_t>(count);
  // output n lies at input n * down / up and needs `reach` samples behind it
  const std::int64_t stop = (received_ - reach_ - 1) * up_ / down_;
  return take(std::max(made_, stop));
}

std::vector<float> Resampler::finish() {
  const std::int64_t total = (2 * received_ * up_ + down_) / (2 * down_);
  const std::vector<float> zeros(static_cast<std::size_t>(2 * reach_ + 2));
  held_.insert(held_.end(), zeros.begin(), zeros.end());
  return take(std::max(made_, total));
}

std::vector<float> Resampler::take(std::int64_t stop) {
  std::vector<float> out;
  out.reserve(static_cast<std::size_t>(stop - made_));
  const auto taps = 2 * reach_;
  for (; made_ < stop; ++made_) {
    std::int64_t place = made_ * down_ / up_, phase = made_ * down_ % up_;
    if (phases_ < up_) phase = (2 * phase * phases_ + up_) / (2 * up_);
    if (phase == phases_) ++place, phase = 0;
    out.push_back(sample_at(place - reach_ + 1 - first_, filters_.data() + phase * taps));
  }
  const std::int64_t keep = made_ * down_ / up_ - reach_ - first_;
  if (keep > 0) {
    held_.erase(held_.begin(), held_.begin() + std::min<std::int64_t>(keep, static_cast<std::int64_t>(held_.size())));
    first_ += keep;
  }
  return out;
}

// The filter's sum from a held sample on; those before the recording are zero.
float Resampler::sample_at(std::int64_t place, const float* filter) const {
  const std::int64_t skip = std::max<std::int64_t>(0, -place);
  const std::int64_t size = std::min(2 * reach_, static_cast<std::int64_t>(held_.size()) - place) - skip;
  const float* input = held_.data() + (place + skip);
  filter += skip;
  float sums[16] = {};
  std::int64_t at = 0;
  for (; at + 16 <= size; at += 16) {
    for (int lane = 0; lane < 16; ++lane) sums[lane] += input[at + lane] * filter[at + lane];
  }
  double sum = 0;
  for (; at < size; ++at) sum += static_cast<double>(input[at]) * static_cast<double>(filter[at]);
  for (const float one : sums) sum += static_cast<double>(one);
  return static_cast<float>(sum);
}

}  // namespace phonemo
