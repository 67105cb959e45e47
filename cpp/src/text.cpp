#include "text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace phonemo {
namespace {

constexpr std::size_t kNameEnd = 60, kMessageHead = 600, kMessageTail = 300;

struct Range {
  int first, last;
};

// Characters that are invisible or change the direction of text.
constexpr Range kUnprintable[] = {
    {0x00, 0x1F},     {0x7F, 0xA0},     {0xAD, 0xAD},     {0x600, 0x605},
    {0x61C, 0x61C},   {0x6DD, 0x6DD},   {0x70F, 0x70F},   {0x890, 0x891},
    {0x8E2, 0x8E2},   {0x1680, 0x1680}, {0x180E, 0x180E}, {0x2000, 0x200F},
    {0x2028, 0x202F}, {0x205F, 0x206F}, {0x3000, 0x3000}, {0xD800, 0xF8FF},
    {0xFEFF, 0xFEFF}, {0xFFF0, 0xFFFB}, {0xFFFE, 0xFFFF}, {0x110BD, 0x110BD},
    {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0x10FFFF},
};

bool is_printable(int character) {
  if (character < 0) return false;
  for (const Range& range : kUnprintable) {
    if (character >= range.first && character <= range.last) return false;
  }
  return true;
}

std::vector<int> characters_of(std::string_view text) {
  std::vector<int> characters;
  for (std::size_t at = 0; at < text.size();) characters.push_back(next_character(text, at));
  return characters;
}

std::string printable(std::string_view text, std::size_t head, std::size_t tail) {
  const std::vector<int> all = characters_of(text);
  const bool is_long = all.size() > head + tail;
  std::string line;
  for (std::size_t at = 0; at < all.size(); ++at) {
    if (is_long && at == head) line += "...";
    if (is_long && at >= head && at < all.size() - tail) continue;
    if (is_printable(all[at])) {
      append_character(line, all[at]);
    } else {
      line += '?';
    }
  }
  return line;
}

// The length of a sequence by its first byte, and the least character that needs it.
int sequence_length(unsigned char lead, int& least) {
  if (lead >= 0xC2 && lead <= 0xDF) return least = 0x80, 2;
  if (lead >= 0xE0 && lead <= 0xEF) return least = 0x800, 3;
  if (lead >= 0xF0 && lead <= 0xF4) return least = 0x10000, 4;
  return 0;
}

}  // namespace

int next_character(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t place) { return static_cast<unsigned char>(text[place]); };
  const unsigned char lead = byte(at++);
  if (lead < 0x80) return lead;
  int least = 0;
  const int length = sequence_length(lead, least);
  if (length == 0 || at + static_cast<std::size_t>(length) - 1 > text.size()) return -1;
  int character = lead & (0xFF >> (length + 1));
  for (int more = 0; more < length - 1; ++more) {
    const unsigned char next = byte(at + static_cast<std::size_t>(more));
    if ((next & 0xC0) != 0x80) return -1;
    character = character << 6 | (next & 0x3F);
  }
  const bool is_surrogate = character >= 0xD800 && character <= 0xDFFF;
  if (character < least || character > 0x10FFFF || is_surrogate) return -1;
  at += static_cast<std::size_t>(length) - 1;
  return character;
}

bool is_valid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    if (next_character(text, at) < 0) return false;
  }
  return true;
}

void append_character(std::string& text, int character) {
  const auto add = [&](int byte) { text += static_cast<char>(byte); };
  if (character < 0x80) {
    add(character);
  } else if (character < 0x800) {
    add(0xC0 | character >> 6), add(0x80 | (character & 0x3F));
  } else if (character < 0x10000) {
    add(0xE0 | character >> 12), add(0x80 | (character >> 6 & 0x3F));
    add(0x80 | (character & 0x3F));
  } else {
    add(0xF0 | character >> 18), add(0x80 | (character >> 12 & 0x3F));
    add(0x80 | (character >> 6 & 0x3F)), add(0x80 | (character & 0x3F));
  }
}

std::string safe_name(std::string_view name) { return printable(name, kNameEnd, kNameEnd); }

std::string one_line(std::string_view message) {
  return printable(message, kMessageHead, kMessageTail);
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  for (const char letter : text) {
    if (letter == separator) {
      parts.emplace_back();
    } else {
      parts.back() += letter;
    }
  }
  return parts;
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  std::array<char, 64> buffer{};
  const double size = std::fabs(value);
  const bool is_plain = value == 0 || (size >= 1e-4 && size < 1e16);
  const auto format = is_plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format);
  std::string text(buffer.data(), end.ptr);
  if (is_plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

// std::to_chars and std::from_chars: printf and strtod depend on the program's locale.
std::string short_number(double value) {
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::general, 6);
  return {buffer.data(), end.ptr};
}

double rounded(double value, int digits) {
  std::array<char, 400> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed, digits);
  double nearest = value;
  std::from_chars(buffer.data(), end.ptr, nearest);
  return nearest;
}

}  // namespace phonemo
