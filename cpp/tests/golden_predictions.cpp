// Whole recordings, streams and errors, with the tiny bundles beside the golden files.
#include <limits>

#include "../phonemo.h"
#include "checks.h"

namespace golden {
namespace {

constexpr double kScore = 0.01, kFrameSeconds = 0.0201;

double tolerance_of(const std::string& key) { return key == "start" || key == "end" ? kFrameSeconds : kScore; }

bool has(const Json& given, const char* option) {
  const Json* found = at(given, "options").find(option);
  return found != nullptr && found->truth;
}

phonemo::Recognizer recognizer_of(const Checks& checks, const Json& given) {
  phonemo::LoadOptions options;
  options.threads = 1;
  const std::string& name = at(given, "bundle").text;
  auto recognizer = phonemo::Recognizer::load(checks.folder() + "/../" + name, options);
  const Json* decoding = at(given, "options").find("decoding");
  if (decoding != nullptr) recognizer = recognizer.with_decoding(decoding->text);
  if (!has(given, "profile")) return recognizer;
  static const Json all = checks.read("predictions");
  const Json& profile = at(at(all, "profiles"), name.c_str());
  std::string text = "{\"format\": 1, \"model\": \"" + at(profile, "model").text + "\", \"count\": 12, \"seconds\": 34.5";
  for (const char* key : {"mean", "deviation"}) {
    text += std::string(", \"") + key + "\": [";
    for (const Json& value : at(profile, key).items) {
      text += (text.back() == '[' ? "" : ", ") + std::to_string(value.number);
    }
    text += "]";
  }
  return recognizer.with_profile_text(text + "}");
}

// A document without its spans, and these apart.
std::pair<Json, Json> without_spans(Json document) {
  Json spans, rest = document;
  rest.members.clear();
  for (auto& [name, value] : document.members) {
    if (name == "spans") spans = value;
    if (name != "spans" && name != "phonemes") rest.members.emplace_back(name, value);
  }
  return {rest, spans};
}

// Hashes of profiles depend on the last bits of the map, and are compared in adaptation.json.
void drop_hashes(Json& document) {
  for (auto& [name, value] : document.members) {
    if (name == "hash") value.text.clear();
    drop_hashes(value);
  }
  for (Json& item : document.items) drop_hashes(item);
}

void compare(Checks& checks, const std::string& found, Json expected, const std::string& place) {
  Json actual = phonemo::parse_json(found);
  drop_hashes(actual);
  drop_hashes(expected);
  const auto [rest, spans] = without_spans(actual);
  const auto [expected_rest, expected_spans] = without_spans(expected);
  checks.alike(rest, expected_rest, tolerance_of, place);
  checks.tolerate(static_cast<int>(expected_spans.items.size() / 50));
  checks.alike(spans, expected_spans, tolerance_of, place + ".spans");
}

void check_error(Checks& checks, const phonemo::Error& error, const Json& given, const std::string& place) {
  const Json* expected = given.find("error");
  checks.same(error.code(), expected == nullptr ? "no error" : at(*expected, "code").text, place);
  checks.same(error.what(), expected == nullptr ? "no error" : at(*expected, "message").text, place);
}

// In C++ emotions have the model's own names.
bool has_other_spelling(const Json& given) {
  const Json* emotions = at(given, "options").find("emotions");
  return emotions != nullptr && emotions->items[0].text == "Wut";
}

void check_events(Checks& checks, const std::vector<phonemo::Event>& events, const std::vector<Json>& expected,
                  const std::string& place) {
  checks.same(static_cast<long long>(events.size()), static_cast<long long>(expected.size()), place + ": events");
  for (std::size_t one = 0; one < std::min(events.size(), expected.size()); ++one) {
    compare(checks, events[one].to_json(), expected[one], place + " event " + std::to_string(one));
  }
}

void check_stream(Checks& checks, const Json& given, const std::string& place) {
  const auto recognizer = recognizer_of(checks, given);
  phonemo::Stream stream(recognizer, 16000, {has(given, "phonemes"), has(given, "adapt")});
  const std::vector<float> samples = signal(checks, at(given, "signal").text);
  const auto piece = static_cast<std::size_t>(at(given, "piece").whole);
  std::vector<phonemo::Event> events;
  std::vector<Json> expected;
  for (const Json& row : at(given, "events").items) expected.push_back(row.items[1]);
  for (std::size_t first = 0, number = 0; first < samples.size(); first += piece, ++number) {
    for (auto& event : stream.push(samples.data() + first, std::min(piece, samples.size() - first))) {
      const bool is_known = events.size() < expected.size();
      const long long due = is_known ? at(given, "events").items[events.size()].items[0].whole : -1;
      checks.same(static_cast<long long>(number), due, place + ": number of the push");
      events.push_back(std::move(event));
    }
  }
  check_events(checks, events, expected, place);
  const auto [last, prediction] = stream.finish();
  const Json& result = at(given, "result");
  check_events(checks, last, at(result, "last").items, place + " at the end");
  compare(checks, prediction.to_json(true), at(result, "prediction"), place);
  if (has(given, "adapt")) {
    compare(checks, stream.profile(), at(result, "profile"), place + ": profile");
  }
}

}  // namespace

void check_errors(Checks& checks) {
  const auto recognizer = phonemo::Recognizer::load(checks.folder() + "/../tiny-bundle", {});
  for (const Json& given : checks.read("errors").items) {
    const Json &rate = at(given, "rate"), &last = at(given, "last");
    if (!rate.is_whole) continue;  // the type of a rate in C++ is int
    std::vector<float> samples(static_cast<std::size_t>(at(given, "count").whole),
                               static_cast<float>(at(given, "fill").number));
    const bool is_nan = last.is(Json::Kind::null);
    if (!samples.empty()) samples.back() = is_nan ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(last.number);
    try {
      recognizer.predict(samples.data(), samples.size(), static_cast<int>(rate.whole));
      checks.check(false, "errors", "none", at(at(given, "error"), "message").text);
    } catch (const phonemo::Error& error) {
      check_error(checks, error, given, "errors");
    }
  }
}

void check_predictions(Checks& checks) {
  const Json all = checks.read("predictions");
  for (const Json& given : at(all, "cases").items) {
    if (has_other_spelling(given)) continue;
    const std::string place = at(given, "bundle").text + " " + at(given, "signal").text;
    try {
      const std::vector<float> samples = signal(checks, at(given, "signal").text);
      phonemo::PredictOptions options;
      options.shares = has(given, "phonemes");
      options.timeline = has(given, "timeline");
      auto found = recognizer_of(checks, given).predict(samples.data(), samples.size(), 16000, options);
      if (const Json* emotions = at(given, "options").find("emotions")) found = found.among(texts_of(*emotions));
      if (const Json* top = at(given, "options").find("top_k")) found = found.top(static_cast<int>(top->whole));
      checks.check(given.find("result") != nullptr, place, "a result", "an error");
      if (given.find("result") != nullptr) compare(checks, found.to_json(true), at(given, "result"), place);
    } catch (const phonemo::Error& error) {
      check_error(checks, error, given, place);
    }
  }
}

void check_streams(Checks& checks) {
  for (const Json& given : checks.read("streams").items) {
    const std::string place = at(given, "bundle").text + " " + at(given, "signal").text;
    try {
      check_stream(checks, given, place);
    } catch (const phonemo::Error& error) {
      check_error(checks, error, given, place);
    }
  }
}

}  // namespace golden
