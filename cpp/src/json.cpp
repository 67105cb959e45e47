#include "json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "text.h"

namespace phonemo {
namespace {

constexpr int kDeepest = 100;

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Json document() {
    Json value = read(0);
    skip_space();
    if (at_ != text_.size()) fail();
    return value;
  }

 private:
  [[noreturn]] void fail() const {
    throw JsonFault("not JSON at byte " + std::to_string(at_));
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }

  void expect(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) fail();
    at_ += word.size();
  }

  Json read(int depth) {
    if (depth > kDeepest) throw JsonFault("nested too deeply");
    skip_space();
    Json value;
    switch (peek()) {
      case '{': return object(depth);
      case '[': return list(depth);
      case '"':
        value.kind = Json::Kind::text;
        value.text = string();
        return value;
      case 't': expect("true"); break;
      case 'f': expect("false"); break;
      case 'n': return expect("null"), value;
      default: return number();
    }
    value.kind = Json::Kind::boolean;
    value.truth = text_[at_ - 2] == 'u';
    return value;
  }

  Json object(int depth) {
    Json value;
    value.kind = Json::Kind::object;
    ++at_;
    skip_space();
    if (peek() == '}') return ++at_, value;
    for (;;) {
      skip_space();
      if (peek() != '"') fail();
      std::string key = string();
      skip_space();
      expect(":");
      value.members.emplace_back(std::move(key), read(depth + 1));
      skip_space();
      if (peek() == '}') return ++at_, value;
      expect(",");
    }
  }

  Json list(int depth) {
    Json value;
    value.kind = Json::Kind::list;
    ++at_;
    skip_space();
    if (peek() == ']') return ++at_, value;
    for (;;) {
      value.items.push_back(read(depth + 1));
      skip_space();
      if (peek() == ']') return ++at_, value;
      expect(",");
    }
  }

  std::string string() {
    std::string text;
    for (++at_; peek() != '"';) {
      if (at_ >= text_.size() || static_cast<unsigned char>(peek()) < 0x20) fail();
      if (peek() == '\\') {
        escape(text);
        continue;
      }
      const std::size_t first = at_;
      if (next_character(text_, at_) < 0) fail();
      text.append(text_, first, at_ - first);
    }
    ++at_;
    return text;
  }

  void escape(std::string& text) {
    static constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
    ++at_;
    if (peek() == 'u') {
      append_character(text, escaped_character());
      return;
    }
    const std::size_t place = peek() == '\0' ? kNames.npos : kNames.find(peek());
    if (place == kNames.npos) fail();
    text += kValues[place];
    ++at_;
  }

  int escaped_character() {
    const int first = hexadecimal();
    if (first < 0xD800 || first > 0xDFFF) return first;
    if (first > 0xDBFF || text_.substr(at_, 2) != "\\u") fail();
    ++at_;
    const int second = hexadecimal();
    if (second < 0xDC00 || second > 0xDFFF) fail();
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
  }

  // Four digits behind the letter u.
  int hexadecimal() {
    if (at_ + 5 > text_.size()) fail();
    int value = 0;
    const char* first = text_.data() + at_ + 1;
    const auto [end, error] = std::from_chars(first, first + 4, value, 16);
    if (error != std::errc() || end != first + 4 || value < 0) fail();
    at_ += 5;
    return value;
  }

  std::size_t digits() {
    const std::size_t first = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    if (at_ == first) fail();
    return at_ - first;
  }

  Json number() {
    const std::size_t first = at_;
    bool is_whole = true;
    if (peek() == '-') ++at_;
    const bool begins_with_zero = peek() == '0';
    if (digits() > 1 && begins_with_zero) fail();
    if (peek() == '.') ++at_, digits(), is_whole = false;
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
      is_whole = false;
    }
    Json value;
    value.kind = Json::Kind::number;
    const char *begin = text_.data() + first, *end = text_.data() + at_;
    const auto parsed = std::from_chars(begin, end, value.number);
    if (parsed.ec == std::errc::result_out_of_range) fail();
    value.is_whole = is_whole && std::from_chars(begin, end, value.whole).ec == std::errc();
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

void append_escape(std::string& out, int unit) {
  std::array<char, 8> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "\\u%04x", static_cast<unsigned>(unit) & 0xFFFF);
  out += buffer.data();
}

void append_escaped(std::string& out, int character) {
  if (character >= 0x10000) {
    append_escape(out, 0xD800 + ((character - 0x10000) >> 10));
    append_escape(out, 0xDC00 + ((character - 0x10000) & 0x3FF));
  } else {
    append_escape(out, character);
  }
}

}  // namespace

const Json* Json::find(std::string_view key) const {
  for (auto member = members.rbegin(); member != members.rend(); ++member) {
    if (member->first == key) return &member->second;
  }
  return nullptr;
}

Json parse_json(std::string_view text) { return Reader(text).document(); }

void append_json_string(std::string& out, std::string_view text, bool ascii) {
  static constexpr std::string_view kValues = "\"\\\b\f\n\r\t", kNames = "\"\\bfnrt";
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t first = at;
    const int character = next_character(text, at);
    const auto place = character >= 0 && character < 0x80
                           ? kValues.find(static_cast<char>(character))
                           : kValues.npos;
    if (place != kValues.npos) {
      out += '\\', out += kNames[place];
    } else if (character < 0) {  // as Python's surrogateescape
      append_escape(out, 0xDC00 + static_cast<unsigned char>(text[first]));
    } else if (character < 0x20 || (ascii && character > 0x7E)) {
      append_escaped(out, character);
    } else {
      out.append(text, first, at - first);
    }
  }
  out += '"';
}

}  // namespace phonemo
