#include "waveform.h"

#include <cmath>

#include "../phonemo.h"
#include "text.h"

namespace phonemo {

WaveformReader::WaveformReader(std::unique_ptr<AudioSource> source, int channel)
    : source_(std::move(source)),
      mixer_(static_cast<std::size_t>(source_->channels), source_->rate, channel),
      channel_(channel) {
  if (channel > source_->channels) {
    const std::string count = std::to_string(source_->channels);
    const std::string expected = source_->channels > 1 ? "a channel from 1 to " + count : "channel 1";
    throw Error("invalid_channel", source_->name + ": expected " + expected + ", got " +
                                       std::to_string(channel) + "; choose another one, or mix");
  }
  if (source_->frames == 0) throw Error("empty_audio", source_->name + ": expected audio, got no samples");
  if (source_->rate != kRate) resampler_.emplace(source_->rate);
  check_limits();
}

bool WaveformReader::next(std::vector<float>& samples) {
  if (is_at_end_) return false;
  const std::vector<float> block = source_->read();
  is_at_end_ = block.empty();
  const std::vector<float> mono = is_at_end_ ? mixer_.finish() : mixer_.push(block);
  if (channel_ > 0) {
    level_.add_raw(mono.data(), mono.size(), 1);
  } else {
    const auto channels = static_cast<std::size_t>(source_->channels);
    level_.add_raw(block.data(), block.size() / channels, channels);
  }
  check_level(mono);
  samples = mono;
  if (resampler_) {
    samples = resampler_->push(mono.data(), mono.size());
    const std::vector<float> rest = is_at_end_ ? resampler_->finish() : std::vector<float>{};
    samples.insert(samples.end(), rest.begin(), rest.end());
  }
  samples_ += samples.size();
  level_.add_mono(samples.data(), samples.size());
  if (is_at_end_) check_length();
  return true;
}

std::vector<std::string> WaveformReader::warnings() const {
  std::vector<std::string> names = level_.warnings(source_->is_truncated());
  if (const auto mixing = mixer_.warning()) names.push_back(*mixing);
  if (const std::uint64_t unused = source_->unused_bytes()) {
    names.push_back("unused_bytes=" + std::to_string(unused));
  }
  return names;
}

void WaveformReader::check_limits() const {
  const double seconds = static_cast<double>(source_->frames) / source_->rate;
  if (seconds > kMostSeconds) {
    throw Error("audio_too_long", source_->name + ": expected at most " + short_number(kMostSeconds) +
                                      " s, got " + short_number(rounded(seconds, 1)) +
                                      " s or more; split it or raise max_seconds");
  }
  const double bytes = static_cast<double>(source_->frames) * source_->channels * 4;
  if (bytes > kMostDecodedBytes) {
    throw Error("audio_too_large", source_->name + ": expected at most 4294967296 decoded bytes, got " +
                                       std::to_string(static_cast<std::uint64_t>(bytes)) +
                                       "; split it or raise max_decoded_bytes");
  }
}

void WaveformReader::check_level(const std::vector<float>& mono) const {
  float peak = 0;
  for (const float sample : mono) {
    const float size = std::fabs(sample);
    if (!(size <= peak)) peak = size;
    if (std::isnan(peak)) break;
  }
  if (peak <= kMostLevel) return;
  const std::string actual = std::isnan(peak) ? "NaN (not a number)" : short_number(static_cast<double>(peak));
  throw Error("invalid_audio", source_->name + ": expected samples with a full scale of 1, got " + actual +
                                   "; write the file again");
}

void WaveformReader::check_length() const {
  if (samples_ == 0) throw Error("empty_audio", source_->name + ": no samples could be decoded");
  if (samples_ >= kFewestSamples) return;
  throw Error("too_short", source_->name + ": expected at least 400 samples at 16 kHz (0.025 s), got " +
                               std::to_string(samples_));
}

}  // namespace phonemo
