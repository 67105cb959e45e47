// Voice activity by energy: speech is well above the lowest recent level.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace phonemo {

constexpr std::size_t kChunkSamples = 512;

// Level and half the range of a chunk, in dB of full scale.
struct ChunkLevel {
  double level, peak;
};

// Finds speech in recordings that are too quiet for absolute levels.
class FaintSpeech {
 public:
  // Prepare for a clip whose chunks are known.
  void expect(const std::vector<ChunkLevel>& chunks);
  bool operator()(const ChunkLevel& chunk);

 private:
  bool is_faint(double level);

  std::optional<double> threshold_;
  std::deque<double> recent_;
  double strong_ = 0, evidence_ = 0;
  int usual_left_ = 0;
};

class EnergyDetector {
 public:
  // Prepare for a clip that is known as a whole.
  void expect(const float* samples, std::size_t count);
  // Whether a chunk of kChunkSamples samples is speech.
  bool operator()(const float* chunk);

 private:
  double floor_ = -45.0;
  int hang_ = 0;
  FaintSpeech faint_;
};

// The results for a recording so far, a flag per chunk.
class ActivityTrack {
 public:
  ActivityTrack() = default;
  // The results for a whole clip, which the detector sees first.
  static ActivityTrack of_clip(const float* samples, std::size_t count);

  void push(const float* samples, std::size_t count);
  // Seconds of speech between two samples, in the chunks that end there.
  double seconds(std::size_t start, std::size_t end) const;
  // The share of the time between two samples that is speech.
  double share(std::size_t start, std::size_t end) const;
  // First and one past the last sample of speech between two samples.
  std::optional<std::pair<std::size_t, std::size_t>> extent(std::size_t start, std::size_t end) const;

  std::vector<bool> flags;

 private:
  EnergyDetector detector_;
  std::vector<float> rest_;
};

}  // namespace phonemo
