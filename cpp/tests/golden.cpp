// phonemo-golden FOLDER NAME...: compare with the golden files of tests/golden/runtime.
#include "checks.h"

#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

#include "sha256.h"
#include "text.h"

namespace golden {

Json Checks::read(const std::string& name) const {
  std::ifstream file(folder_ + "/" + name + ".json", std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return phonemo::parse_json(content.str());
}

void Checks::check(bool is_equal, const std::string& place, const std::string& actual, const std::string& expected) {
  ++count_;
  if (is_equal) return;
  if (tolerated_ > 0) {
    --tolerated_;
    return;
  }
  ++failures_;
  if (failures_ <= 20) std::printf("%s: expected %s, got %s\n", place.c_str(), expected.c_str(), actual.c_str());
}

void Checks::same(const std::string& actual, const std::string& expected, const std::string& place) {
  check(actual == expected, place, actual, expected);
}

void Checks::same(long long actual, long long expected, const std::string& place) {
  check(actual == expected, place, std::to_string(actual), std::to_string(expected));
}

void Checks::near(double actual, double expected, double tolerance, const std::string& place) {
  const bool is_equal = std::fabs(actual - expected) <= tolerance * std::fmax(1.0, std::fabs(expected));
  check(is_equal, place, phonemo::number_text(actual), phonemo::number_text(expected));
}

void Checks::near(const Row& actual, const Json& expected, double tolerance, const std::string& place) {
  same(static_cast<long long>(actual.size()), static_cast<long long>(expected.items.size()), place + ": size");
  for (std::size_t place_in = 0; place_in < std::min(actual.size(), expected.items.size()); ++place_in) {
    near(actual[place_in], expected.items[place_in].number, tolerance, place + "[" + std::to_string(place_in) + "]");
  }
}

void Checks::alike(const Json& actual, const Json& expected, const std::function<double(const std::string&)>& tolerance,
                   const std::string& place, const std::string& key) {
  check(actual.kind == expected.kind, place, "another kind", "the same kind");
  if (actual.kind != expected.kind) return;
  same(actual.text, expected.text, place);
  same(actual.truth, expected.truth, place);
  if (expected.is(Json::Kind::number)) near(actual.number, expected.number, tolerance(key), place);
  same(static_cast<long long>(actual.items.size()), static_cast<long long>(expected.items.size()), place + ": size");
  for (std::size_t one = 0; one < std::min(actual.items.size(), expected.items.size()); ++one) {
    alike(actual.items[one], expected.items[one], tolerance, place + "[" + std::to_string(one) + "]", key);
  }
  same(static_cast<long long>(actual.members.size()), static_cast<long long>(expected.members.size()),
       place + ": number of keys");
  for (std::size_t one = 0; one < std::min(actual.members.size(), expected.members.size()); ++one) {
    const std::string& name = expected.members[one].first;
    same(actual.members[one].first, name, place + ": key");
    alike(actual.members[one].second, expected.members[one].second, tolerance, place + "." + name, name);
  }
}

const Json& at(const Json& object, const char* key) {
  const Json* value = object.find(key);
  if (value == nullptr) throw std::runtime_error(std::string("expected the key ") + key);
  return *value;
}

Row row_of(const Json& list) {
  Row values;
  for (const Json& item : list.items) values.push_back(item.number);
  return values;
}

std::vector<Row> rows_of(const Json& list) {
  std::vector<Row> rows;
  for (const Json& item : list.items) rows.push_back(row_of(item));
  return rows;
}

std::vector<std::string> texts_of(const Json& list) {
  std::vector<std::string> texts;
  for (const Json& item : list.items) texts.push_back(item.text);
  return texts;
}

}  // namespace golden

namespace {

const std::map<std::string, void (*)(golden::Checks&)> kParts = {
    {"signals", golden::check_signals},         {"levels", golden::check_levels},
    {"vad", golden::check_vad},                 {"windows", golden::check_windows},
    {"timeline", golden::check_timeline},       {"alignment", golden::check_alignment},
    {"attribution", golden::check_attribution}, {"calibration", golden::check_calibration},
    {"adaptation", golden::check_adaptation},   {"dimensions", golden::check_dimensions},
    {"doubt", golden::check_doubt},             {"resampling", golden::check_resampling},
    {"errors", golden::check_errors},           {"predictions", golden::check_predictions},
    {"streams", golden::check_streams},         {"decoding", golden::check_decoding},
};

}  // namespace

int main(int count, char** words) {
  if (count < 3) {
    std::fprintf(stderr, "usage: phonemo-golden FOLDER NAME...\n");
    return 2;
  }
  int failures = 0;
  for (int word = 2; word < count; ++word) {
    golden::Checks checks(words[1]);
    const auto part = kParts.find(words[word]);
    try {
      if (part == kParts.end()) throw std::runtime_error("expected the name of a golden file");
      part->second(checks);
    } catch (const std::exception& error) {
      checks.check(false, words[word], error.what(), "no error");
    }
    std::printf("%s: %d comparisons, %d failed\n", words[word], checks.count(), checks.failures());
    failures += checks.failures() + (checks.count() == 0);
  }
  return failures > 0;
}
