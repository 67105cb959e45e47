// Resampling to 16 kHz with a windowed sinc, block by block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace phonemo {

// Kaiser window of 128 dB; the band up to 0.914 of the lower half rate passes, as with soxr's HQ.
class Resampler {
 public:
  explicit Resampler(int rate);

  // The samples that are determined once these are known.
  std::vector<float> push(const float* samples, std::size_t count);
  // The rest: all together, count * 16000 / rate samples, rounded.
  std::vector<float> finish();

 private:
  std::vector<float> take(std::int64_t stop);
  float sample_at(std::int64_t place, const float* filter) const;
  void make_filters(double cutoff);

  std::int64_t up_, down_;       // 16000 / rate as a fraction in lowest terms
  std::int64_t reach_ = 0;       // input samples on either side that an output depends on
  std::int64_t phases_ = 1;      // filters between two input samples
  std::vector<float> filters_;   // (phase, tap)
  std::vector<float> held_;
  std::int64_t first_ = 0;       // number of the first held input sample
  std::int64_t received_ = 0, made_ = 0;
};

}  // namespace phonemo
