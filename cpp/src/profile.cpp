#include "profile.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "files.h"
#include "json.h"
#include "sha256.h"
#include "text.h"

namespace phonemo {
namespace {

constexpr std::uint64_t kMostProfileBytes = 1U << 20;
constexpr std::size_t kMostProfileFeatures = 1U << 14, kHashLetters = 12;
constexpr double kMostCount = 1e9, kLargest = 1e18;
constexpr const char* kKeys[] = {"format", "model", "count", "seconds", "mean", "deviation"};
constexpr const char* kRemake = "make it again with phonemo adapt";

[[noreturn]] void refuse(const std::string& message) { throw Error("UsageError", message); }

bool is_within(const Json& value, double least) {
  return value.is(Json::Kind::number) && value.number >= least && value.number <= kLargest;
}

// As Python writes a value.
std::string value_text(const Json& value) {
  switch (value.kind) {
    case Json::Kind::null: return "None";
    case Json::Kind::boolean: return value.truth ? "True" : "False";
    case Json::Kind::number: return value.is_whole ? std::to_string(value.whole) : number_text(value.number);
    case Json::Kind::text: return "'" + value.text + "'";
    default: return "a list or an object";
  }
}

void check_keys(const Json& data, const std::string& name) {
  const auto has = [&](const char* key) { return data.find(key) != nullptr; };
  const auto is_known = [](const auto& member) {
    return std::any_of(std::begin(kKeys), std::end(kKeys), [&](const char* key) { return member.first == key; });
  };
  if (!data.is(Json::Kind::object) || !std::all_of(std::begin(kKeys), std::end(kKeys), has) ||
      !std::all_of(data.members.begin(), data.members.end(), is_known)) {
    refuse(name + ": expected an object of format, model, count, seconds, mean, deviation, got another");
  }
  const Json& format = *data.find("format");
  if (!format.is_whole || format.whole != 1) {
    refuse(name + ": expected format 1, got " + safe_name(value_text(format)) +
         "; make the profile again with this version of phonemo");
  }
  for (const char* key : {"mean", "deviation"}) {
    if (!data.find(key)->is(Json::Kind::list)) refuse(name + ": expected a list in " + key + "; " + kRemake);
  }
}

// Describe the first invalid value.
std::optional<std::string> fault_of(const Json& data) {
  const Json& model = *data.find("model");
  const bool is_digest = model.is(Json::Kind::text) && model.text.size() == 64 &&
                         model.text.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!is_digest) return "expected a model of 64 hexadecimal digits";
  const Json& count = *data.find("count");
  if (!count.is_whole || count.number < 1 || count.number > kMostCount) return "expected a count from 1 to 1000000000";
  if (!is_within(*data.find("seconds"), 0)) return "expected seconds of 0 or more";
  const std::vector<Json>&mean = data.find("mean")->items, &deviation = data.find("deviation")->items;
  if (mean.empty() || mean.size() > kMostProfileFeatures || mean.size() != deviation.size()) {
    return "expected 1 to 16384 means and as many deviations, got " + std::to_string(mean.size()) + " means and " +
           std::to_string(deviation.size()) + " deviations";
  }
  const auto all_within = [](const std::vector<Json>& values, double least) {
    return std::all_of(values.begin(), values.end(), [&](const Json& value) { return is_within(value, least); });
  };
  if (!all_within(mean, -kLargest)) return "expected means from -1e+18 to 1e+18";
  if (!all_within(deviation, 1 / kLargest)) return "expected deviations from 1e-18 to 1e+18";
  return std::nullopt;
}

Row numbers_of(const Json& list) {
  Row values;
  for (const Json& item : list.items) values.push_back(item.number);
  return values;
}

Row rounded_digits(const Row& values) {
  Row all;
  for (const double value : values) {
    const std::string text = short_number(value);
    double nearest = value;
    std::from_chars(text.data(), text.data() + text.size(), nearest);
    all.push_back(nearest);
  }
  return all;
}

void append_list(std::string& text, const Row& values) {
  for (std::size_t at = 0; at < values.size(); ++at) {
    text += (at > 0 ? ", " : "[") + number_text(values[at] + 0.0);
  }
  text += "]";
}

}  // namespace

Profile Profile::of(const Statistics& statistics, double seconds, const Reference& reference) {
  return {reference.digest(), static_cast<std::int64_t>(statistics.count), rounded(seconds, 1),
          rounded_digits(statistics.mean), rounded_digits(statistics.deviation)};
}

Profile Profile::load(const std::string& path) {
  const std::string name = safe_name(path);
  File file;
  std::string reason;
  const FileFault fault = file.open(path, reason);
  if (fault != FileFault::none) refuse(name + ": no such file; create a profile with phonemo adapt");
  std::string content(static_cast<std::size_t>(std::min(file.size(), kMostProfileBytes + 1)), '\0');
  content.resize(file.read_at(0, content.data(), content.size()));
  return parse(content, name);
}

Profile Profile::parse(const std::string& text, const std::string& name) {
  if (text.size() > kMostProfileBytes) {
    refuse(name + ": expected a profile of at most 1048576 bytes, got more; " + kRemake);
  }
  Json data;
  try {
    data = parse_json(text);
  } catch (const JsonFault&) {
    refuse(name + ": expected JSON; phonemo adapt writes a profile");
  }
  check_keys(data, name);
  if (const auto fault = fault_of(data)) refuse(name + ": " + *fault + "; " + kRemake);
  return {data.find("model")->text, data.find("count")->whole, data.find("seconds")->number,
          numbers_of(*data.find("mean")), numbers_of(*data.find("deviation"))};
}

std::string Profile::text() const {
  std::string content = "{\"format\": 1, \"model\": \"" + model + "\", \"count\": " + std::to_string(count) +
                        ", \"seconds\": " + number_text(seconds) + ", \"mean\": ";
  append_list(content, mean);
  content += ", \"deviation\": ";
  append_list(content, deviation);
  return content + "}\n";
}

ProfileMark Profile::mark() const { return {sha256_of(text()).substr(0, kHashLetters), count}; }

Statistics Profile::statistics() const { return {static_cast<double>(count), mean, deviation}; }

void Profile::check(const Reference& reference) const {
  const std::string digest = reference.digest();
  if (model != digest) {
    refuse("expected a profile of model " + digest.substr(0, kHashLetters) + ", got one of model " +
         model.substr(0, kHashLetters) + "; make a profile with this model: phonemo adapt");
  }
  if (mean.size() != reference.centre.size()) {
    refuse("expected a profile of " + std::to_string(reference.centre.size()) + " features, got " +
         std::to_string(mean.size()) + "; " + kRemake);
  }
}

}  // namespace phonemo
