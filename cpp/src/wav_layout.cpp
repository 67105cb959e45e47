#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "../phonemo.h"
#include "text.h"
#include "wav.h"

namespace phonemo {
namespace {

constexpr int kMostChunks = 1024;  // a hostile file could hold millions of empty chunks
constexpr std::uint64_t kFirstChunk = 12, kTitleBytes = 8, kFewBytes = 16;
constexpr std::uint64_t kUnknownLong = 1ULL << 62;
constexpr const char* kExpected = "expected a WAV of PCM (8, 16, 24, 32 bits), float, A-law or mu-law";
// The end of the identifiers whose first two bytes are a format's number.
constexpr unsigned char kGuidTail[] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71};
constexpr const char* kNotes[] = {"LIST", "id3 ", "ID3 ", "bext", "iXML", "smpl", "cue ", "fact", "PEAK",
                                  "JUNK", "junk", "FLLR", "_PMX", "acid", "afsp", "axml", "chna", "PAD ",
                                  "INST", "inst", "fmt ", "data"};

struct Magic {
  std::string_view bytes;
  const char* name;
};
constexpr Magic kOthers[] = {
    {"fLaC", "FLAC"}, {"OggS", "Ogg"}, {"ID3", "MP3"}, {"\xFF\xFB", "MP3"}, {"FORM", "AIFF"}, {".snd", "AU"},
    {"caff", "CAF"}, {"riff", "W64"}, {"NIST_1A", "NIST SPHERE"}, {"\x1A\x45\xDF\xA3", "WebM or Matroska"},
    {"#!AMR", "AMR"}, {"<", "XML or HTML"}, {"{", "JSON"}, {"version https://git-lfs", "a Git LFS pointer"},
};

struct Chunk {
  std::string name;
  std::uint64_t start, size;
};

class Walk {
 public:
  Walk(const std::string& name, const ReadAt& read_at, std::uint64_t size)
      : name_(name), read_at_(read_at), size_(size) {}

  WavLayout layout() {
    check_head();
    std::uint64_t at = kFirstChunk;
    for (int count = 0; count < kMostChunks; ++count) {
      const std::optional<Chunk> chunk = chunk_at(at);
      if (!chunk) break;
      if (chunk->name == "data") return measured(*chunk);
      if (chunk->name == "ds64") long_size_ = number(chunk->start + 8, 8);
      if (chunk->name == "fmt ") read_format(*chunk);
      at = next(chunk->start, chunk->size);
    }
    fail("it has no samples");
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw Error("unsupported_audio", name_ + ": cannot be decoded (" + reason + "); " + kExpected);
  }

  std::string bytes(std::uint64_t at, std::size_t count) const {
    std::string content(count, '\0');
    content.resize(read_at_(at, content.data(), count));
    return content;
  }

  std::uint64_t number(std::uint64_t at, std::size_t count) const {
    std::string content = bytes(at, count);
    if (content.size() < count) return 0;
    if (!found_.is_big_endian) std::reverse(content.begin(), content.end());
    std::uint64_t value = 0;
    for (const char byte : content) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
  }

  void check_head() {
    const std::string head = bytes(0, 32);
    const std::string kind = head.substr(0, 4);
    if (size_ == 0) throw Error("empty_audio", name_ + ": " + kExpected + ", got 0 bytes");
    if ((kind == "RIFF" || kind == "RIFX" || kind == "RF64") && head.size() >= 12 &&
        head.compare(8, 4, "WAVE") == 0) {
      found_.is_big_endian = kind == "RIFX";
      return;
    }
    const char* actual = "a file of another kind";
    for (const Magic& magic : kOthers) {
      if (head.compare(0, magic.bytes.size(), magic.bytes) == 0) actual = magic.name;
    }
    throw Error("unsupported_audio", name_ + ": " + kExpected + ", got " + actual + "; convert it to WAV");
  }

  std::optional<Chunk> chunk_at(std::uint64_t at) const {
    const std::string title = bytes(at, kTitleBytes);
    if (title.size() < kTitleBytes) return std::nullopt;
    return Chunk{title.substr(0, 4), at + kTitleBytes, number(at + 4, 4)};
  }

  // Where the next chunk begins; some writers omit the padding after an odd size.
  std::uint64_t next(std::uint64_t start, std::uint64_t size) const {
    const std::uint64_t end = start + size, padded = end + end % 2;
    if (padded == end || padded >= size_ || is_known(padded) || !is_known(end)) return padded;
    return end;
  }

  bool is_known(std::uint64_t at) const {
    const std::string name = bytes(at, 4);
    return std::any_of(std::begin(kNotes), std::end(kNotes), [&](const char* note) { return name == note; });
  }

  void read_format(const Chunk& chunk) {
    if (chunk.size < 16) fail("its format is incomplete");
    std::uint64_t tag = number(chunk.start, 2);
    found_.channels = static_cast<std::int64_t>(number(chunk.start + 2, 2));
    found_.rate = static_cast<std::int64_t>(number(chunk.start + 4, 4));
    const std::uint64_t align = number(chunk.start + 12, 2), bits = number(chunk.start + 14, 2);
    if (tag == 0xFFFE) tag = extended_tag(chunk);
    set_encoding(tag, bits);
    if (found_.channels == 0) fail("it has no channels");
    check_channels(name_, found_.channels);
    check_rate(name_, found_.rate);
    const auto frame_bytes = static_cast<std::uint64_t>(found_.channels * found_.sample_bytes);
    if (align != 0 && align != frame_bytes) {
      fail("frames of " + std::to_string(align) + " bytes for " + std::to_string(found_.channels) +
           " channels of " + std::to_string(bits) + " bits");
    }
    has_format_ = true;
  }

  std::uint64_t extended_tag(const Chunk& chunk) const {
    const std::string tail = bytes(chunk.start + 26, sizeof kGuidTail);
    const bool is_known = chunk.size >= 40 && tail.size() == sizeof kGuidTail &&
                          std::memcmp(tail.data(), kGuidTail, sizeof kGuidTail) == 0;
    if (!is_known) fail("an extensible format of an unknown kind");
    return number(chunk.start + 24, 2);
  }

  void set_encoding(std::uint64_t tag, std::uint64_t bits) {
    static constexpr std::array<std::pair<std::uint64_t, Encoding>, 4> kTags = {
        {{1, Encoding::pcm}, {3, Encoding::floats}, {6, Encoding::alaw}, {7, Encoding::mulaw}}};
    const auto* known = std::find_if(kTags.begin(), kTags.end(), [&](const auto& row) { return row.first == tag; });
    if (known == kTags.end()) fail("format " + std::to_string(tag));
    found_.encoding = known->second;
    if (tag == 6 || tag == 7) bits = 8;
    const bool is_right = tag == 1   ? bits >= 1 && bits <= 32
                          : tag == 3 ? bits == 32 || bits == 64
                                     : true;
    if (!is_right) fail(std::to_string(bits) + " bits");
    found_.sample_bytes = static_cast<int>((bits + 7) / 8);
  }

  WavLayout measured(const Chunk& chunk) {
    if (!has_format_) fail("its samples have no format");
    std::uint64_t declared = chunk.size;
    if (declared == 0xFFFFFFFF && long_size_ > 0) declared = long_size_;
    const bool unsized = is_unsized(chunk.start, declared);
    const std::uint64_t end = unsized ? size_ : chunk.start + std::min(declared, kUnknownLong);
    found_.start = chunk.start;
    found_.end = std::min(end, size_);
    found_.is_truncated = end > size_;
    found_.unused_bytes = found_.is_truncated || unsized ? 0 : unused_from(next(chunk.start, declared));
    return found_;
  }

  // Whether a pipe or a killed recorder left a length that is none.
  bool is_unsized(std::uint64_t start, std::uint64_t declared) const {
    if (declared >= kUnknownLong || declared == 0xFFFFFFFF) return true;
    const auto within = [&](std::uint64_t first, std::uint64_t last) { return declared >= first && declared <= last; };
    if (start + declared > size_) {
      return within(0xFFFFFF00, 0xFFFFFFFF) || within(0x7FFFF000, 0x80000000) || within(0x7F000000, 0x7F00000F);
    }
    return declared == 0 && start < size_ && skip_notes(start) < size_;
  }

  // The end of the chunks from `at` on.
  std::uint64_t skip_notes(std::uint64_t at) const {
    for (int count = 0; count < kMostChunks && at < size_; ++count) {
      const std::optional<Chunk> chunk = chunk_at(at);
      const bool is_name = chunk && chunk->name[0] != ' ' &&
                           std::all_of(chunk->name.begin(), chunk->name.end(),
                                       [](char letter) { return letter >= 0x20 && letter < 0x7F; });
      if (!is_name || chunk->name == "RIFF" || chunk->name == "RIFX" || chunk->name == "RF64") break;
      if (chunk->start + chunk->size > size_ && !is_known(at)) break;
      at = std::min(next(chunk->start, chunk->size), size_);
    }
    return at;
  }

  // Bytes behind the recording that are neither chunks nor zeros.
  std::uint64_t unused_from(std::uint64_t at) const {
    at = skip_notes(std::min(at, size_));
    const std::uint64_t left = size_ - at;
    if (left < kFewBytes || (left == 128 && bytes(at, 3) == "TAG")) return 0;
    const std::string first = bytes(at, static_cast<std::size_t>(std::min<std::uint64_t>(left, 1U << 24)));
    return first.find_first_not_of('\0') == first.npos ? 0 : left;
  }

  const std::string& name_;
  const ReadAt& read_at_;
  std::uint64_t size_, long_size_ = 0;
  WavLayout found_;
  bool has_format_ = false;
};

}  // namespace

WavLayout read_layout(const std::string& name, const ReadAt& read_at, std::uint64_t size) {
  return Walk(name, read_at, size).layout();
}

}  // namespace phonemo
