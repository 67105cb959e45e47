#include <algorithm>
#include <cmath>

#include "../phonemo.h"
#include "audio_source.h"
#include "bundle.h"
#include "json.h"
#include "text.h"

namespace phonemo {
namespace {

constexpr std::int64_t kLongestField = kRate * 60;

// Reads fields with their ranges; errors name the field.
class CardReader {
 public:
  CardReader(const Json& data, std::string path) : data_(data), path_(std::move(path)) {}

  [[noreturn]] void fail(const std::string& key, const std::string& expected) const {
    throw Error("CheckpointError", path_ + ": " + key + ": expected " + expected + "; export the model again");
  }

  // A value that is neither absent nor null.
  const Json* given(const char* key) const {
    const Json* value = data_.find(key);
    return value == nullptr || value->is(Json::Kind::null) ? nullptr : value;
  }

  const Json& needed(const char* key) const {
    const Json* value = given(key);
    if (value == nullptr) fail(key, "a value, got none");
    return *value;
  }

  double number(const char* key, double least, double most) const {
    const Json& value = needed(key);
    if (!value.is(Json::Kind::number) || !(value.number >= least && value.number <= most)) {
      fail(key, "a number from " + short_number(least) + " to " + short_number(most));
    }
    return value.number;
  }

  double number(const char* key, double least, double most, double otherwise) const {
    return data_.find(key) == nullptr ? otherwise : number(key, least, most);
  }

  std::int64_t whole(const char* key, double least, double most) const {
    return whole_of(key, needed(key), least, most);
  }

  std::vector<std::int64_t> wholes(const char* key) const {
    std::vector<std::int64_t> values;
    for (const Json& value : list(needed(key), key, 64)) {
      values.push_back(whole_of(key, value, 1, static_cast<double>(kRate)));
    }
    return values;
  }

  std::string text(const Json& value, const char* key) const {
    if (!value.is(Json::Kind::text)) fail(key, "text");
    return value.text;
  }

  std::string text(const char* key) const { return text(needed(key), key); }

  std::vector<std::string> texts(const Json& value, const char* key, std::size_t fewest) const {
    std::vector<std::string> values;
    for (const Json& item : list(value, key, 1U << 16)) values.push_back(text(item, key));
    if (values.size() < fewest) fail(key, "at least " + std::to_string(fewest) + " values");
    return values;
  }

  std::string digest(const char* key) const {
    const Json* value = given(key);
    return value == nullptr ? "" : pattern(key, text(*value, key), "0123456789abcdef", 64, 64);
  }

  std::string pattern(const char* key, const std::string& value, std::string_view letters, std::size_t fewest,
                      std::size_t most) const {
    const bool is_known = value.find_first_not_of(letters) == value.npos;
    if (!is_known || value.size() < fewest || value.size() > most) fail(key, "another text");
    return value;
  }

 private:
  std::int64_t whole_of(const char* key, const Json& value, double least, double most) const {
    if (!value.is_whole || value.number < least || value.number > most) {
      fail(key, "a whole number from " + short_number(least) + " to " + short_number(most));
    }
    return value.whole;
  }

  const std::vector<Json>& list(const Json& value, const char* key, std::size_t most) const {
    if (!value.is(Json::Kind::list) || value.items.empty() || value.items.size() > most) {
      fail(key, "a list of 1 to " + std::to_string(most) + " values");
    }
    return value.items;
  }

  const Json& data_;
  std::string path_;
};

FrameGrid grid_of(const CardReader& read) {
  const auto kernels = read.wholes("conv_kernel"), strides = read.wholes("conv_stride");
  if (kernels.size() != strides.size()) read.fail("conv_stride", "as many values as in conv_kernel");
  FrameGrid grid{1, 1};
  for (std::size_t at = kernels.size(); at-- > 0;) {
    grid.field = (grid.field - 1) * strides[at] + kernels[at];
    grid.hop *= strides[at];
    if (grid.field > kLongestField || grid.hop > kLongestField) {
      read.fail("conv_kernel", "a receptive field of at most " + std::to_string(kLongestField) + " samples");
    }
  }
  return grid;
}

void check_format(const Json& data, const std::string& path) {
  const Json* format = data.is(Json::Kind::object) ? data.find("format") : nullptr;
  if (format == nullptr || !format->is_whole) {
    throw Error("CheckpointError", path + ": expected a format number; this is not a phonemo bundle");
  }
  if (format->whole == 1) return;
  throw Error("CheckpointError", path + ": expected format 1, got " + std::to_string(format->whole) +
                                     "; export the model again with this phonemo, or install the version of "
                                     "phonemo that wrote it");
}

void read_optional(const CardReader& read, Card& card) {
  card.head_sha256 = read.digest("head_sha256");
  card.adaptation_sha256 = read.digest("adaptation_sha256");
  card.decoder_sha256 = read.digest("decoder_sha256");
  if (const Json* inventory = read.given("inventory")) {
    const Json* symbols = inventory->find("symbols");
    if (symbols == nullptr) read.fail("inventory.symbols", "a value, got none");
    card.symbols = read.texts(*symbols, "inventory.symbols", 2);
  }
  if (const Json* dimensions = read.given("dimensions")) {
    const Json* names = dimensions->find("names");
    if (names == nullptr) read.fail("dimensions.names", "a value, got none");
    card.dimensions = read.texts(*names, "dimensions.names", 1);
  }
  if (const Json* network = read.given("network")) {
    static constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789-";
    card.network = read.pattern("network", read.text(*network, "network"), kLetters, 1, 64);
    if (card.network[0] == '-') read.fail("network", "another text");
    if (card.adaptation_sha256.empty()) {
      read.fail("card", "adaptation.npz for the shared network " + card.network);
    }
  }
}

}  // namespace

Card parse_card(const std::string& text, const std::string& path) {
  Json data;
  try {
    data = parse_json(text);
  } catch (const JsonFault&) {
    throw Error("CheckpointError", path + ": expected JSON; copy the whole folder again");
  }
  check_format(data, path);
  const CardReader read(data, path);
  Card card;
  card.name = read.text("name");
  card.precision = read.text("precision");
  card.labels = read.texts(read.needed("labels"), "labels", 1);
  auto sorted = card.labels;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) read.fail("labels", "unique labels");
  if (data.find("rate") != nullptr) read.whole("rate", kRate, kRate);
  if (!read.needed("normalise").is(Json::Kind::boolean)) read.fail("normalise", "true or false");
  card.normalise = read.needed("normalise").truth;
  card.fewest_samples = read.whole("fewest_samples", 1, kLongestField);
  card.grid = grid_of(read);
  card.window_seconds = read.number("window_seconds", 1e-9, 3600);
  card.temperature = read.number("temperature", 1e-3, 1e3, 1.0);
  card.abstain_below = read.number("abstain_below", 0, 1, 0.0);
  card.sha256 = read.digest("sha256");
  if (card.sha256.empty()) read.fail("sha256", "a value, got none");
  read_optional(read, card);
  return card;
}

}  // namespace phonemo
