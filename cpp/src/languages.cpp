// Language models in files, which hold n-grams by name and fit every inventory with their phonemes.
#include <algorithm>
#include <map>
#include <set>

#include "../phonemo.h"
#include "files.h"
#include "language_model.h"
#include "text.h"

namespace phonemo {
namespace {

constexpr std::uint64_t kMostLanguageBytes = 1U << 24;
constexpr std::int64_t kMostGramCount = (1LL << 32) - 1;
constexpr const char* kBoundary = "#";  // the start and the end of an utterance
constexpr double kLeastShare = 0.95;    // a model must have the phonemes of this share of the n-grams
constexpr std::size_t kMostNames = 5;   // in a message
constexpr const char* kSettings[] = {"weight", "bonus", "beam"};
constexpr const char* kNameLanguage = "name a language's file, such as english.json";

using Counted = std::map<std::string, std::int64_t>;
using Indices = std::map<std::string, std::size_t>;

[[noreturn]] void refuse_language(const std::string& message) { throw Error("UsageError", message); }

[[noreturn]] void refuse_content(const std::string& language) {
  refuse_language(language + ": expected n-grams of 2 or 3 phonemes with their counts, and settings; count them again");
}

// The value of a key; a content of another kind or without it is refused.
const Json& value_of(const Json& object, const char* key, Json::Kind kind, const std::string& language) {
  const Json* value = object.find(key);
  if (value == nullptr || !value->is(kind)) refuse_content(language);
  return *value;
}

DecoderSettings settings_of(const Json& content, const std::string& language) {
  const Json& settings = value_of(content, "settings", Json::Kind::object, language);
  const auto is_known = [](const auto& member) {
    const auto is_same = [&](const char* key) { return member.first == key; };
    return std::any_of(std::begin(kSettings), std::end(kSettings), is_same);
  };
  if (!std::all_of(settings.members.begin(), settings.members.end(), is_known)) refuse_content(language);
  const auto number = [&](const char* key) -> const Json& {
    return value_of(settings, key, Json::Kind::number, language);
  };
  const Json& beam = number("beam");
  const double weight = number("weight").number;
  const bool is_within = weight >= 0 && beam.whole >= 1 && beam.whole <= static_cast<std::int64_t>(kMostBeam);
  if (!beam.is_whole || !is_within) refuse_content(language);
  return {weight, number("bonus").number, static_cast<std::size_t>(beam.whole)};
}

// The counts by n-gram; of a repeated one the last.
Counted counted_grams(const Json& content, const std::string& language) {
  Counted counted;
  for (const auto& [gram, count] : value_of(content, "ngrams", Json::Kind::object, language).members) {
    if (!count.is_whole || count.whole < 0 || count.whole > kMostGramCount) refuse_content(language);
    counted[gram] = count.whole;
  }
  const auto is_counted = [](const auto& one) { return one.second > 0; };
  if (std::none_of(counted.begin(), counted.end(), is_counted)) refuse_content(language);
  return counted;
}

std::size_t order_of(const std::string& gram) {
  return 1 + static_cast<std::size_t>(std::count(gram.begin(), gram.end(), ' '));
}

std::size_t common_order(const Counted& counted, const std::string& language) {
  const std::size_t order = order_of(counted.begin()->first);
  const auto is_other = [&](const auto& one) { return order_of(one.first) != order; };
  if (order < 2 || order > 3 || std::any_of(counted.begin(), counted.end(), is_other)) refuse_content(language);
  return order;
}

Indices indices_of(const std::vector<std::string>& symbols) {
  Indices indices{{kBoundary, 0}};
  for (std::size_t place = 1; place < symbols.size(); ++place) indices[symbols[place]] = place;
  return indices;
}

[[noreturn]] void refuse_lacking(const Counted& counted, const Indices& indices, const std::string& language) {
  std::set<std::string> lacking;
  for (const auto& one : counted) {
    for (const std::string& name : split(one.first, ' ')) {
      if (indices.count(name) == 0) lacking.insert(name);
    }
  }
  std::string list;
  std::size_t left = kMostNames;
  for (auto name = lacking.begin(); name != lacking.end() && left > 0; ++name, --left) {
    list += (list.empty() ? "" : ", ") + *name;
  }
  refuse_language("expected a model with the phonemes of " + language + ", got one without " + list +
                  "; choose another model, or best-path");
}

// The n-grams whose phonemes the inventory has, by index, and their counts.
GramCounts known_grams(const Counted& counted, const Indices& indices, std::size_t symbols,
                       const std::string& language) {
  GramCounts known;
  double all = 0, kept = 0;
  for (const auto& [gram, count] : counted) {
    const std::vector<std::string> names = split(gram, ' ');
    const auto number = static_cast<double>(count);
    all += number;
    if (std::any_of(names.begin(), names.end(), [&](const auto& name) { return indices.count(name) == 0; })) continue;
    kept += number;
    std::size_t index = 0;
    for (const std::string& name : names) index = index * symbols + indices.at(name);
    known.emplace_back(static_cast<std::uint32_t>(index), number);
  }
  if (known.empty() || kept < kLeastShare * all) refuse_lacking(counted, indices, language);
  return known;
}

std::string read_text(const std::string& path, const std::string& name) {
  File file;
  std::string reason;
  const FileFault fault = file.open(path, reason);
  if (fault == FileFault::missing) {
    refuse_language(name + ": cannot be read (" + reason + "); " + kNameLanguage);
  }
  if (fault != FileFault::none) refuse_language(name + ": expected a regular file; " + kNameLanguage);
  if (file.size() > kMostLanguageBytes) {
    refuse_language(name + ": expected at most " + std::to_string(kMostLanguageBytes) + " bytes, got " +
                    std::to_string(file.size()) + "; " + kNameLanguage);
  }
  std::string content(static_cast<std::size_t>(file.size()), '\0');
  content.resize(file.read_at(0, content.data(), content.size()));
  return content;
}

}  // namespace

PhonemeModel model_of_content(const Json& content, const std::vector<std::string>& symbols,
                              const std::string& language) {
  check_inventory(symbols.size());
  const DecoderSettings settings = settings_of(content, language);
  const Counted counted = counted_grams(content, language);
  const std::size_t order = common_order(counted, language);
  return {symbols.size(), order, known_grams(counted, indices_of(symbols), symbols.size(), language), settings};
}

PhonemeModel read_language(const std::string& path, const std::vector<std::string>& symbols) {
  const std::string name = safe_name(path);
  const std::string text = read_text(path, name);
  Json content;
  try {
    content = parse_json(text);
  } catch (const JsonFault&) {
    refuse_language(name + ": expected JSON; " + kNameLanguage);
  }
  return model_of_content(content, symbols, name);
}

}  // namespace phonemo
