#include "wav.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "../phonemo.h"
#include "text.h"

namespace phonemo {
namespace {

// G.711: the 16-bit value of a byte.
int mulaw_value(int byte) {
  const int flipped = ~byte & 0xFF, exponent = flipped >> 4 & 7;
  const int size = (((flipped & 15) << 3) + 0x84) << exponent;
  return flipped & 0x80 ? 0x84 - size : size - 0x84;
}

int alaw_value(int byte) {
  const int flipped = byte ^ 0x55, exponent = flipped >> 4 & 7, mantissa = flipped & 15;
  const int size = exponent == 0 ? (mantissa << 4) + 8 : ((mantissa << 4) + 0x108) << (exponent - 1);
  return flipped & 0x80 ? size : -size;
}

float pcm_value(const unsigned char* bytes, int width) {
  if (width == 1) return static_cast<float>(bytes[0] - 128) / 128.0F;
  std::uint32_t value = 0;  // the sample in the highest bytes
  for (int at = 0; at < width; ++at) value |= std::uint32_t{bytes[at]} << (8 * (4 - width + at));
  return static_cast<float>(static_cast<std::int32_t>(value)) / 2147483648.0F;
}

float float_value(const unsigned char* bytes, int width) {
  if (width == 4) {
    float value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
  }
  double value;
  std::memcpy(&value, bytes, sizeof value);
  return static_cast<float>(value);
}

float value_of(const unsigned char* bytes, const WavLayout& layout) {
  unsigned char turned[8];
  if (layout.is_big_endian && layout.sample_bytes > 1) {
    std::reverse_copy(bytes, bytes + layout.sample_bytes, turned);
    bytes = turned;
  }
  switch (layout.encoding) {
    case Encoding::pcm: return pcm_value(bytes, layout.sample_bytes);
    case Encoding::floats: return float_value(bytes, layout.sample_bytes);
    case Encoding::alaw: return static_cast<float>(alaw_value(bytes[0])) / 32768.0F;
    case Encoding::mulaw: return static_cast<float>(mulaw_value(bytes[0])) / 32768.0F;
  }
  return 0;
}

[[noreturn]] void fail_to_open(const std::string& name, FileFault fault, const std::string& reason) {
  const std::string expected = "expected the path of an audio file";
  if (fault == FileFault::missing) throw Error("missing_file", name + ": " + reason + "; " + expected);
  const std::string kind = fault == FileFault::folder ? "a folder" : "a device, pipe or socket";
  throw Error("unsupported_audio", name + ": " + expected + ", got " + kind);
}

}  // namespace

WavSource::WavSource(const std::string& source_name, ReadAt read_at, std::uint64_t size)
    : read_at_(std::move(read_at)), layout_(read_layout(source_name, read_at_, size)), at_(layout_.start) {
  name = source_name;
  rate = static_cast<int>(layout_.rate);
  channels = static_cast<int>(layout_.channels);
  frames = (layout_.end - layout_.start) / static_cast<std::uint64_t>(channels * layout_.sample_bytes);
}

std::unique_ptr<WavSource> WavSource::open(const std::string& path) {
  auto file = std::make_shared<File>();
  std::string reason;
  const FileFault fault = file->open(path, reason);
  if (fault != FileFault::none) fail_to_open(safe_name(path), fault, reason);
  const ReadAt read_at = [file](std::uint64_t at, void* target, std::size_t count) {
    return file->read_at(at, target, count);
  };
  return std::unique_ptr<WavSource>(new WavSource(safe_name(path), read_at, file->size()));
}

std::unique_ptr<WavSource> WavSource::of(std::string_view content, const std::string& name) {
  const ReadAt read_at = [content](std::uint64_t at, void* target, std::size_t count) -> std::size_t {
    if (at >= content.size() || count == 0) return 0;
    const std::size_t size = std::min(count, content.size() - static_cast<std::size_t>(at));
    std::memcpy(target, content.data() + at, size);
    return size;
  };
  return std::unique_ptr<WavSource>(new WavSource(name, read_at, content.size()));
}

std::vector<float> WavSource::read() {
  const auto frame_bytes = static_cast<std::uint64_t>(channels * layout_.sample_bytes);
  const std::uint64_t left = (layout_.end - at_) / frame_bytes;
  const std::uint64_t expected = std::min<std::uint64_t>(left, kBlockFrames);
  std::vector<unsigned char> bytes(static_cast<std::size_t>(expected * frame_bytes));
  const std::size_t found = read_at_(at_, bytes.data(), bytes.size()) / static_cast<std::size_t>(frame_bytes);
  at_ += found * frame_bytes;
  if (found < expected) layout_.is_truncated = true;  // it became shorter while it was read
  std::vector<float> block(found * static_cast<std::size_t>(channels));
  const auto width = static_cast<std::size_t>(layout_.sample_bytes);
  for (std::size_t at = 0; at < block.size(); ++at) block[at] = value_of(bytes.data() + at * width, layout_);
  return block;
}

}  // namespace phonemo
