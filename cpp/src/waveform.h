// Audio decoded to mono float32 at 16 kHz while it is read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "audio_source.h"
#include "levels.h"
#include "mixing.h"
#include "resample.h"

namespace phonemo {

constexpr double kMostSeconds = 7200;              // the longest recording
constexpr double kMostDecodedBytes = 4294967296.0;  // of float32, over all channels
constexpr std::size_t kFewestSamples = 400;        // of a recording, at 16 kHz
constexpr float kMostLevel = 2147483648.0F;        // 32-bit integers stored as floats

class WaveformReader {
 public:
  // `channel` from 1 on is taken; 0 mixes all.
  explicit WaveformReader(std::unique_ptr<AudioSource> source, int channel = 0);

  // The next samples, perhaps none; false at the end, and an AudioError if there were too few.
  bool next(std::vector<float>& samples);
  // Names for the samples read; complete at the end.
  std::vector<std::string> warnings() const;
  std::size_t samples() const { return samples_; }

 private:
  void check_limits() const;
  void check_level(const std::vector<float>& mono) const;
  void check_length() const;

  std::unique_ptr<AudioSource> source_;
  ChannelMixer mixer_;
  std::optional<Resampler> resampler_;
  LevelMeter level_;
  int channel_;
  std::size_t samples_ = 0;
  bool is_at_end_ = false;
};

}  // namespace phonemo
