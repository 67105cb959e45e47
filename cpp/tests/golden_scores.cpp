// Timeline, alignment, attribution, calibration, adaptation, dimensions, doubt.
#include <cmath>
#include <limits>

#include "activity.h"
#include "alignment.h"
#include "attribution.h"
#include "checks.h"
#include "dimensions.h"
#include "doubt.h"
#include "profile.h"
#include "statistics.h"
#include "timeline.h"

namespace golden {
namespace {

constexpr double kClose = 1e-9;

double close(const std::string&) { return kClose; }

Json parsed(const std::vector<phonemo::Segment>& segments) {
  Json list;
  list.kind = Json::Kind::list;
  for (const phonemo::Segment& segment : segments) list.items.push_back(phonemo::parse_json(segment.to_json()));
  return list;
}

phonemo::Scores scores_of(const Json& object) {
  phonemo::Scores scores;
  for (const auto& [name, value] : object.members) scores.emplace_back(name, value.number);
  return scores;
}

phonemo::Segment segment_of(const Json& given) {
  phonemo::Segment segment;
  segment.start = at(given, "start").number;
  segment.end = at(given, "end").number;
  segment.label = at(given, "label").text;
  segment.scores = scores_of(at(given, "scores"));
  return segment;
}

phonemo::Prediction prediction_of(const Json& given) {
  phonemo::Prediction found;
  found.label = at(given, "label").text;
  found.scores = scores_of(at(given, "scores"));
  found.seconds = at(given, "seconds").number;
  found.spans.emplace();
  for (const Json& one : at(given, "spans").items) {
    phonemo::Span span;
    span.symbol = at(one, "symbol").text;
    span.start = at(one, "start").number;
    span.end = at(one, "end").number;
    span.confidence = at(one, "confidence").number;
    if (one.find("share") != nullptr) span.share = at(one, "share").number;
    found.spans->push_back(span);
  }
  found.warnings = texts_of(at(given, "warnings"));
  for (const Json& one : at(given, "segments").items) found.segments.push_back(segment_of(one));
  found.speech_ratio = at(given, "speech_ratio").number;
  return found;
}

std::vector<Row> timed_rows(const std::vector<phonemo::TimedPhoneme>& timed) {
  std::vector<Row> rows;
  for (const auto& one : timed) {
    rows.push_back({static_cast<double>(one.symbol), static_cast<double>(one.start), static_cast<double>(one.end)});
  }
  return rows;
}

phonemo::Reference reference_of(const Json& given) {
  phonemo::Reference reference;
  reference.centre = row_of(at(given, "centre"));
  reference.spread = row_of(at(given, "spread"));
  reference.class_means = rows_of(at(given, "class_means"));
  reference.weight = rows_of(at(given, "weight"));
  reference.bias = row_of(at(given, "bias"));
  reference.k_mean = at(given, "k_mean").number;
  reference.k_spread = at(given, "k_spread").number;
  reference.radius = at(given, "radius").number;
  reference.em_iterations = static_cast<int>(at(given, "em_iterations").whole);
  return reference;
}

void check_statistics(Checks& checks, const phonemo::Statistics& found, const Json& expected, const std::string& place) {
  checks.near(found.count, at(expected, "count").number, kClose, place + ": count");
  checks.near(found.mean, at(expected, "mean"), kClose, place + ": mean");
  checks.near(found.deviation, at(expected, "deviation"), kClose, place + ": deviation");
}

void check_pool(Checks& checks, const phonemo::Reference& reference, const Json& given) {
  const std::vector<Row> pool = rows_of(at(given, "vectors"));
  const phonemo::Statistics found = phonemo::estimate(pool, reference);
  check_statistics(checks, phonemo::moments(pool, reference), at(given, "moments"), "moments");
  check_statistics(checks, found, at(given, "estimate"), "estimate");
  const auto profile = phonemo::Profile::of(found, 1.25 * static_cast<double>(pool.size()), reference);
  checks.alike(phonemo::parse_json(profile.text()), at(given, "profile"), [](const std::string&) { return 0.0; }, "profile");
  checks.same(profile.mark().hash, at(at(given, "mark"), "hash").text, "hash");
  const auto shrunk = phonemo::shrink_towards(profile.statistics(), reference);
  check_statistics(checks, shrunk, at(given, "shrunk"), "shrunk");
  check_statistics(checks, phonemo::shrink_towards(found, reference, shrunk), at(given, "twice"), "twice");
  const auto map = phonemo::affine_of(shrunk, reference);
  checks.near(map.scale, at(given, "scale"), kClose, "scale");
  checks.near(map.shift, at(given, "shift"), kClose, "shift");
  checks.near(reference.logits(pool[0]), at(given, "logits"), kClose, "logits");
  checks.near(reference.logits(pool[0], &map), at(given, "adapted_logits"), kClose, "adapted logits");
}

// A document as text again, since invalid profiles are given as objects.
std::string text_of(const Json& value) {
  std::string text;
  switch (value.kind) {
    case Json::Kind::null: return "null";
    case Json::Kind::boolean: return value.truth ? "true" : "false";
    case Json::Kind::number: return value.is_whole ? std::to_string(value.whole) : std::to_string(value.number);
    case Json::Kind::text: phonemo::append_json_string(text, value.text); return text;
    case Json::Kind::list:
      for (const Json& item : value.items) text += (text.empty() ? "[" : ", ") + text_of(item);
      return text.empty() ? "[]" : text + "]";
    case Json::Kind::object: break;
  }
  for (const auto& [name, item] : value.members) text += (text.empty() ? "{\"" : ", \"") + name + "\": " + text_of(item);
  return text + "}";
}

}  // namespace

void check_aligned(Checks& checks, const std::vector<phonemo::AlignedPhoneme>& found, const Json& expected) {
  checks.same(static_cast<long long>(found.size()), static_cast<long long>(expected.items.size()), "phonemes");
  for (std::size_t one = 0; one < std::min(found.size(), expected.items.size()); ++one) {
    const Row row = {static_cast<double>(found[one].symbol), static_cast<double>(found[one].first),
                     static_cast<double>(found[one].last), found[one].confidence};
    checks.near(row, expected.items[one], kClose, "phoneme");
  }
}

void check_timeline(Checks& checks) {
  for (const Json& given : checks.read("timeline").items) {
    phonemo::ActivityTrack track;
    for (const char flag : at(given, "flags").text) track.flags.push_back(flag == '1');
    const std::vector<std::string> labels = texts_of(at(given, "labels"));
    const auto extent = [&](std::size_t start, std::size_t end) { return track.extent(start, end); };
    phonemo::Timeline timeline(labels, static_cast<std::size_t>(at(given, "hop").whole), extent,
                               phonemo::DimensionReader(labels, {}));
    std::vector<Json> closed;
    for (const Json& window : at(given, "windows").items) {
      std::optional<phonemo::WindowScore> score;
      if (!window.is(Json::Kind::null)) score = {row_of(at(window, "scores")), at(window, "weight").number};
      closed.push_back(parsed(timeline.add(score)));
    }
    closed.push_back(parsed(timeline.finish(static_cast<std::size_t>(at(given, "samples").whole))));
    const std::vector<Json>& expected = at(given, "closed").items;
    checks.same(static_cast<long long>(closed.size()), static_cast<long long>(expected.size()), "steps");
    for (std::size_t step = 0; step < closed.size(); ++step) {
      checks.alike(closed[step], expected[step], close, "step " + std::to_string(step));
    }
  }
}

void check_alignment(Checks& checks) {
  const Json all = checks.read("alignment");
  const phonemo::FrameGrid grid{at(at(all, "grid"), "field_samples").whole, at(at(all, "grid"), "hop_samples").whole};
  for (const Json& given : at(all, "cases").items) {
    const phonemo::Posteriors posteriors = rows_of(at(given, "log_posteriors"));
    const std::int64_t samples = at(given, "samples").whole;
    std::vector<std::size_t> said;
    for (const Json& symbol : at(given, "said").items) said.push_back(static_cast<std::size_t>(symbol.whole));
    const auto decoded = phonemo::decode_phonemes(posteriors), aligned = phonemo::align(posteriors, said);
    check_aligned(checks, decoded, at(given, "decoded"));
    check_aligned(checks, aligned, at(given, "aligned"));
    const Json& timed = at(given, "timed");
    const auto compare = [&](const auto& phonemes, phonemo::GapRule rule, const Json& expected) {
      const auto rows = timed_rows(phonemo::time_phonemes(phonemes, posteriors, grid, samples, rule));
      checks.check(rows == rows_of(expected), "times", "others", "the same");
    };
    compare(decoded, phonemo::GapRule::posterior, at(timed, "posterior"));
    compare(decoded, phonemo::GapRule::midpoint, at(timed, "midpoint"));
    compare(decoded, phonemo::GapRule::spike, at(timed, "spike"));
    compare(aligned, phonemo::GapRule::posterior, at(given, "timed_aligned"));
  }
}

void check_attribution(Checks& checks) {
  for (const Json& given : checks.read("attribution").items) {
    const std::vector<Row> features = rows_of(at(given, "features"));
    std::vector<phonemo::Span> spans;
    for (const Row& row : rows_of(at(given, "spans"))) spans.push_back({"a", row[0], row[1], 0.5, {}});
    const phonemo::Masks inside = phonemo::frames_within(spans, {720, 320}, features.size());
    for (std::size_t one = 0; one < spans.size(); ++one) {
      Row frames;
      for (std::size_t frame = 0; frame < features.size(); ++frame) {
        if (inside[one][frame]) frames.push_back(static_cast<double>(frame));
      }
      checks.near(frames, at(given, "frames").items[one], 0, "frames");
    }
    const phonemo::Decide decide = [&](const phonemo::Masks& kept) {
      std::vector<Row> all;
      for (const std::vector<bool>& row : kept) {
        Row mean(3);
        double count = 0;
        for (std::size_t frame = 0; frame < row.size(); ++frame) count += row[frame];
        for (std::size_t frame = 0; frame < row.size(); ++frame) {
          for (std::size_t one = 0; one < 3 && row[frame]; ++one) mean[one] += features[frame][one] / std::fmax(count, 1);
        }
        all.push_back(phonemo::softmax(mean));
      }
      return all;
    };
    phonemo::add_attribution(spans, decide, {720, 320}, features.size(), 3);
    for (std::size_t one = 0; one < spans.size(); ++one) {
      const Json& expected = at(given, "shares").items[one];
      checks.same(spans[one].share.has_value(), !expected.is(Json::Kind::null), "share");
      checks.near(spans[one].share.value_or(0), expected.number, kClose, "share");
    }
  }
}

void check_calibration(Checks& checks) {
  for (const Json& given : checks.read("calibration").items) {
    const Json& radius = at(given, "radius");
    const double limit = radius.is(Json::Kind::null) ? std::numeric_limits<double>::infinity() : radius.number;
    const Row flat = phonemo::flattened(row_of(at(given, "logits")), row_of(at(given, "standardized")), limit);
    checks.near(flat, at(given, "flattened"), kClose, "flattened");
    checks.near(phonemo::softmax(flat, at(given, "temperature").number), at(given, "scores"), kClose, "scores");
    checks.near(phonemo::log_softmax(flat), at(given, "log_softmax"), kClose, "log_softmax");
  }
}

void check_adaptation(Checks& checks) {
  const Json all = checks.read("adaptation");
  const phonemo::Reference reference = reference_of(at(all, "reference"));
  checks.same(reference.digest(), at(at(all, "reference"), "digest").text, "digest");
  for (const Json& given : at(all, "cases").items) check_pool(checks, reference, given);
  for (const Json& given : at(all, "invalid").items) {
    std::string message = "no error";
    try {
      phonemo::Profile::parse(text_of(at(given, "profile")), "profile").check(reference);
    } catch (const phonemo::Error& error) {
      message = error.what();
    }
    checks.same(message, at(given, "message").text, "invalid profile");
  }
}

void check_dimensions(Checks& checks) {
  for (const Json& given : checks.read("dimensions").items) {
    const phonemo::DimensionReader reader(texts_of(at(given, "labels")), texts_of(at(given, "names")));
    phonemo::Segment segment;
    segment.label = "";
    segment.dimensions = reader.read(row_of(at(given, "row")));
    const Json found = phonemo::parse_json(segment.to_json());
    const Json& expected = at(given, "dimensions");
    checks.same(found.find("dimensions") != nullptr, !expected.is(Json::Kind::null), "dimensions");
    if (found.find("dimensions") != nullptr) {
      checks.alike(at(found, "dimensions"), expected, [](const std::string&) { return 0.0; }, "dimensions");
    }
  }
}

void check_doubt(Checks& checks) {
  for (const Json& given : checks.read("doubt").items) {
    const auto compare = [&](const phonemo::Prediction& found, const char* name) {
      checks.alike(phonemo::parse_json(found.to_json(true)), at(given, name), close, name);
    };
    const auto done = phonemo::with_doubt(prediction_of(at(given, "given")), at(given, "threshold").number);
    compare(done, "done");
    compare(done.among({"sadness", "anger"}), "among");
    compare(done.top(2), "top");
  }
}

}  // namespace golden
