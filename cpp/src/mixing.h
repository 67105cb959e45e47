// Channels to mono, where the loudest is taken if they cancel each other.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace phonemo {

// How alike the channels of a recording are, from their sums so far.
class ChannelRelation {
 public:
  ChannelRelation(std::size_t channels, int rate);

  // Add frames, (frame, channel); an incomplete envelope frame is kept for the next call.
  void add(const std::vector<float>& block);
  double sound_seconds() const;
  std::size_t loudest() const;
  // Whether most of the channels' sound is lost in their mix.
  bool cancel() const;
  // The loudest channel of a part, (frame, channel), whose mix lacks its sound.
  std::optional<std::size_t> cancelled_by(const float* part, const float* mixed, std::size_t frames) const;
  // Whether two channels vary independently, as the two sides of a call do.
  bool differ() const;

 private:
  void add_frame(const float* frame);

  std::size_t channels_, frame_;
  std::vector<float> rest_;
  std::vector<double> power_, levels_, products_;
  double mixed_ = 0;
  std::size_t frames_ = 0;
};

class ChannelMixer {
 public:
  // `channel` from 1 on is taken; 0 mixes all.
  ChannelMixer(std::size_t channels, int rate, int channel);

  // The mono samples that are decided once this block, (frame, channel), is known.
  std::vector<float> push(const std::vector<float>& block);
  std::vector<float> finish() { return release(); }
  // The name of a warning, or nothing.
  std::optional<std::string> warning() const;

 private:
  std::vector<float> release();
  std::vector<float> mixed(const std::vector<float>& block);
  std::vector<float> only(const std::vector<float>& block, std::size_t channel) const;

  std::size_t channels_;
  int rate_, channel_;
  ChannelRelation relation_;
  std::vector<std::vector<float>> held_;
  std::size_t held_frames_ = 0;
  std::optional<std::size_t> loudest_, loudest_of_part_;
  bool parts_cancel_ = false, is_decided_ = false;
};

}  // namespace phonemo
