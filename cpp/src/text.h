// Text of messages and numbers, as Python writes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace phonemo {

// A file name for a message: one printable line of at most 123 characters.
std::string safe_name(std::string_view name);

// A message as one printable line of limited length.
std::string one_line(std::string_view message);

// The parts between separators; a text without any is one part.
std::vector<std::string> split(std::string_view text, char separator);

// The shortest decimal that gives the same double, as Python's repr.
std::string number_text(double value);

// As Python's "g" format.
std::string short_number(double value);

// Rounded to decimal digits, half to even of the exact value, as Python's round.
double rounded(double value, int digits);

// Decode the next character of UTF-8 and advance; -1 for a byte that is not part of any.
int next_character(std::string_view text, std::size_t& at);

bool is_valid_utf8(std::string_view text);

// Append a character as UTF-8.
void append_character(std::string& text, int character);

}  // namespace phonemo
