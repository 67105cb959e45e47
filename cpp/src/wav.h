// WAV files: RIFF, RIFX and RF64, with the damage that real ones have.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "audio_source.h"
#include "files.h"

namespace phonemo {

// The bytes of a file: offset, target, count -> bytes read.
using ReadAt = std::function<std::size_t(std::uint64_t, void*, std::size_t)>;

// How samples are stored.
enum class Encoding { pcm, floats, alaw, mulaw };

// Where the samples are, and how they are stored.
struct WavLayout {
  Encoding encoding = Encoding::pcm;
  int sample_bytes = 2;
  bool is_big_endian = false;
  std::int64_t rate = 0, channels = 0;
  std::uint64_t start = 0, end = 0;  // of the samples that are present
  bool is_truncated = false;
  std::uint64_t unused_bytes = 0;
};

// Walk the chunks; AudioError (unsupported_audio, empty_audio) for anything that is not decoded.
WavLayout read_layout(const std::string& name, const ReadAt& read_at, std::uint64_t size);

class WavSource : public AudioSource {
 public:
  // Open a path; AudioError also for missing_file.
  static std::unique_ptr<WavSource> open(const std::string& path);
  // Read bytes in memory, which stay with the caller.
  static std::unique_ptr<WavSource> of(std::string_view content, const std::string& name);

  std::vector<float> read() override;
  bool is_truncated() const override { return layout_.is_truncated; }
  std::uint64_t unused_bytes() const override { return layout_.unused_bytes; }

 private:
  WavSource(const std::string& source_name, ReadAt read_at, std::uint64_t size);

  ReadAt read_at_;
  WavLayout layout_;
  std::uint64_t at_ = 0;
};

}  // namespace phonemo
