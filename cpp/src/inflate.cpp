#include <array>

#include "npz.h"

namespace phonemo {
namespace {

constexpr int kMostBits = 15;

// A canonical Huffman code: how many codes have each length, and their symbols in order.
struct Code {
  std::array<int, kMostBits + 1> counts{};
  std::vector<int> symbols;

  explicit Code(const std::vector<int>& lengths) : symbols(lengths.size()) {
    for (const int length : lengths) ++counts[static_cast<std::size_t>(length)];
    counts[0] = 0;
    std::array<int, kMostBits + 2> next{};
    for (std::size_t bits = 1; bits <= kMostBits; ++bits) next[bits + 1] = next[bits] + counts[bits];
    for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol) {
      const auto length = static_cast<std::size_t>(lengths[symbol]);
      if (length > 0) symbols[static_cast<std::size_t>(next[length]++)] = static_cast<int>(symbol);
    }
    check();
  }

 private:
  void check() const {
    int left = 1;
    for (std::size_t bits = 1; bits <= kMostBits; ++bits) {
      left = 2 * left - counts[bits];
      if (left < 0) throw NpzFault("deflate: too many codes of one length");
    }
  }
};

class Inflater {
 public:
  Inflater(std::string_view packed, std::size_t size) : packed_(packed), size_(size) {
    out_.reserve(size);
  }

  std::string run() {
    bool is_last = false;
    while (!is_last) {
      is_last = bits(1);
      const int kind = bits(2);
      if (kind == 0) stored();
      if (kind == 1) coded(fixed_lengths(), Code(std::vector<int>(30, 5)));
      if (kind == 2) dynamic();
      if (kind == 3) fail("a block of an unknown kind");
    }
    if (out_.size() != size_) fail("another size");
    return std::move(out_);
  }

 private:
  [[noreturn]] static void fail(const char* reason) {
    throw NpzFault(std::string("deflate: ") + reason);
  }

  int bits(int count) {
    while (held_ < count) {
      if (at_ >= packed_.size()) fail("it ends early");
      buffer_ |= static_cast<std::uint32_t>(static_cast<unsigned char>(packed_[at_++])) << held_;
      held_ += 8;
    }
    const int value = static_cast<int>(buffer_ & ((1U << count) - 1));
    buffer_ >>= count;
    held_ -= count;
    return value;
  }

  int symbol(const Code& code) {
    int value = 0, first = 0, index = 0;
    for (std::size_t length = 1; length <= kMostBits; ++length) {
      value |= bits(1);
      const int count = code.counts[length];
      if (value - first < count) return code.symbols[static_cast<std::size_t>(index + value - first)];
      index += count;
      first = 2 * (first + count);
      value *= 2;
    }
    fail("an unknown code");
  }

  void stored() {
    buffer_ = 0, held_ = 0;
    const int size = bits(16), inverse = bits(16);
    if ((size ^ inverse) != 0xFFFF) fail("a block whose sizes differ");
    const auto count = static_cast<std::size_t>(size);
    if (count > packed_.size() - at_ || count > size_ - out_.size()) fail("a block that is too long");
    out_.append(packed_, at_, count);
    at_ += count;
  }

  static Code fixed_lengths() {
    std::vector<int> lengths(288, 8);
    for (std::size_t at = 144; at < 256; ++at) lengths[at] = 9;
    for (std::size_t at = 256; at < 280; ++at) lengths[at] = 7;
    return Code(lengths);
  }

  void dynamic() {
    static constexpr int kOrder[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    const int literals = bits(5) + 257, distances = bits(5) + 1, count = bits(4) + 4;
    std::vector<int> first(19, 0);
    for (int at = 0; at < count; ++at) first[static_cast<std::size_t>(kOrder[at])] = bits(3);
    const Code code(first);
    std::vector<int> lengths;
    const auto total = static_cast<std::size_t>(literals + distances);
    while (lengths.size() < total) add_lengths(code, lengths);
    if (lengths.size() != total) fail("more lengths than codes");
    const auto middle = lengths.begin() + literals;
    coded(Code({lengths.begin(), middle}), Code({middle, lengths.end()}));
  }

  void add_lengths(const Code& code, std::vector<int>& lengths) {
    const int length = symbol(code);
    if (length < 16) return lengths.push_back(length);
    if (length == 16 && lengths.empty()) fail("a repeat of nothing");
    const int repeated = length == 16 ? lengths.back() : 0;
    const int times = length == 16 ? 3 + bits(2) : length == 17 ? 3 + bits(3) : 11 + bits(7);
    lengths.insert(lengths.end(), static_cast<std::size_t>(times), repeated);
  }

  void coded(const Code& literals, const Code& distances) {
    static constexpr int kLengths[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                       31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    for (;;) {
      const int value = symbol(literals);
      if (value == 256) return;
      if (value < 256) {
        if (out_.size() >= size_) fail("more bytes than declared");
        out_ += static_cast<char>(value);
        continue;
      }
      if (value > 285) fail("an unknown length");
      const int place = value - 257;
      const int extra = place < 8 || place == 28 ? 0 : (place - 4) / 4;
      const int length = kLengths[place] + bits(extra);  // before the distance's bits
      copy(length, distance(distances));
    }
  }

  std::size_t distance(const Code& code) {
    const int place = symbol(code);
    if (place > 29) fail("an unknown distance");
    if (place < 4) return static_cast<std::size_t>(place + 1);
    const int extra = place / 2 - 1;
    const int base = ((2 + place % 2) << extra) + 1;
    return static_cast<std::size_t>(base + bits(extra));
  }

  void copy(int length, std::size_t distance) {
    if (distance > out_.size()) fail("a distance before the start");
    if (static_cast<std::size_t>(length) > size_ - out_.size()) fail("more bytes than declared");
    for (int at = 0; at < length; ++at) out_ += out_[out_.size() - distance];
  }

  std::string_view packed_;
  std::size_t size_, at_ = 0;
  std::string out_;
  std::uint32_t buffer_ = 0;
  int held_ = 0;
};

}  // namespace

std::string inflate(std::string_view packed, std::size_t size) {
  return Inflater(packed, size).run();
}

}  // namespace phonemo
