// Audio that is read in blocks of interleaved samples.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace phonemo {

constexpr int kRate = 16000;                     // samples per second of the network
constexpr std::size_t kBlockFrames = 65536;      // decoded at a time
constexpr int kMostChannels = 64;
constexpr int kLeastRate = 4000, kMostRate = 384000;

class AudioSource {
 public:
  virtual ~AudioSource() = default;

  std::string name;  // for messages
  int rate = 0;
  int channels = 1;
  std::uint64_t frames = 0;  // as declared and present

  // Read up to kBlockFrames frames, (frame, channel); empty at the end.
  virtual std::vector<float> read() = 0;
  virtual bool is_truncated() const { return false; }
  virtual std::uint64_t unused_bytes() const { return 0; }
};

// Mono samples in memory, which stay with the caller.
class ArraySource : public AudioSource {
 public:
  ArraySource(const float* samples, std::size_t count, int samples_per_second);
  std::vector<float> read() override;

 private:
  const float* samples_;
  std::size_t left_;
};

// AudioError (unsupported_audio) for a rate or number of channels out of range.
void check_rate(const std::string& name, std::int64_t rate);
void check_channels(const std::string& name, std::int64_t channels);

}  // namespace phonemo
