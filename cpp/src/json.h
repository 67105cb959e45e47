// A strict JSON reader, and the writing of strings.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace phonemo {

struct JsonFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Json {
  enum class Kind { null, boolean, number, text, list, object };

  Kind kind = Kind::null;
  bool truth = false;
  bool is_whole = false;  // a number without a fraction or exponent that fits `whole`
  std::int64_t whole = 0;
  double number = 0;
  std::string text;
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;

  bool is(Kind other) const { return kind == other; }
  // The value of a key, the last one if it is repeated; nullptr if there is none.
  const Json* find(std::string_view key) const;
};

// Parse a document; JsonFault for anything that is not JSON in UTF-8, or nested too deeply.
Json parse_json(std::string_view text);

// Append a string in quotes; `ascii` escapes every other character.
void append_json_string(std::string& out, std::string_view text, bool ascii = false);

}  // namespace phonemo
