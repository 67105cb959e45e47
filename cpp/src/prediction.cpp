#include <algorithm>

#include "../phonemo.h"
#include "doubt.h"

namespace phonemo {
namespace {

constexpr double kMixtureSeconds = 20.0, kMixtureShare = 0.5;
constexpr const char *kUnsure = "unsure", *kDiffers = "timeline_differs";

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

double best_score(const Scores& scores) {
  double best = 0;
  for (const auto& [label, score] : scores) best = std::max(best, score);
  return best;
}

std::string best_label(const Scores& scores) {
  const auto best = std::max_element(scores.begin(), scores.end(),
                                     [](const auto& one, const auto& other) { return one.second < other.second; });
  return best->first;
}

std::string joined(const Scores& scores) {
  std::string text;
  for (const auto& [label, score] : scores) text += (text.empty() ? "" : ", ") + label;
  return text;
}

Scores ranked(Scores scores) {
  std::stable_sort(scores.begin(), scores.end(),
                   [](const auto& one, const auto& other) { return one.second > other.second; });
  return scores;
}

Scores rescaled(const Scores& scores, const std::vector<std::string>& emotions) {
  Scores chosen;
  double total = 0;
  for (const auto& row : scores) {
    if (has(emotions, row.first)) chosen.push_back(row), total += row.second;
  }
  if (chosen.size() < 2) {
    throw Error("LabelError", "expected at least two labels, got " + std::to_string(chosen.size()));
  }
  if (!(total > 0)) throw Error("LabelError", "all scores of " + joined(chosen) + " are 0; add other emotions");
  for (auto& row : chosen) row.second /= total;
  return chosen;
}

void check_labels(const Scores& scores, const std::vector<std::string>& emotions) {
  for (const std::string& name : emotions) {
    const bool is_known = std::any_of(scores.begin(), scores.end(), [&](const auto& row) { return row.first == name; });
    if (!is_known) throw Error("LabelError", "unknown label '" + name + "'; labels: " + joined(scores));
  }
}

// "timeline_differs" only if no segment has the label of the whole.
void flag_timeline(Prediction& prediction) {
  bool is_any = false, is_same = false;
  for (const Segment& segment : prediction.segments) {
    is_any = is_any || segment.label;
    is_same = is_same || segment.label == prediction.label;
  }
  const bool differs = prediction.label && is_any && !is_same;
  std::vector<std::string>& names = prediction.warnings;
  if (differs == has(names, kDiffers)) return;
  names.erase(std::remove(names.begin(), names.end(), kDiffers), names.end());
  if (differs) names.emplace_back(kDiffers);
}

// Shares are those of the label before.
void drop_shares(Prediction& prediction) {
  if (!prediction.spans) return;
  for (Span& span : *prediction.spans) span.share.reset();
}

}  // namespace

void mark_segment(Segment& segment, double threshold) { segment.unsure = best_score(segment.scores) < threshold; }

Prediction with_doubt(Prediction prediction, double threshold) {
  if (has(prediction.warnings, "no_speech") || has(prediction.warnings, "silent")) {
    prediction.label.reset();
    drop_shares(prediction);
  }
  if (prediction.segments.size() == 1 && prediction.label) {  // one answer to one sound
    Segment& only = prediction.segments[0];
    only.label = prediction.label;
    only.scores = prediction.scores;
    only.dimensions = prediction.dimensions;
  }
  for (Segment& segment : prediction.segments) mark_segment(segment, threshold);
  if (best_score(prediction.scores) < threshold) prediction.warnings.emplace_back(kUnsure);
  flag_timeline(prediction);
  return prediction;
}

bool Prediction::unsure() const { return !label || has(warnings, kUnsure); }

Scores Prediction::mixture() const {
  Scores shares;
  double total = 0, all = 0;
  for (const Segment& segment : segments) {
    const double length = segment.end - segment.start;
    all += length;
    if (!segment.label) continue;
    total += length;
    const auto known = std::find_if(shares.begin(), shares.end(), [&](const auto& row) { return row.first == *segment.label; });
    if (known == shares.end()) {
      shares.emplace_back(*segment.label, length);
    } else {
      known->second += length;
    }
  }
  if (!(total > 0) || all < kMixtureSeconds) return {};
  for (auto& row : shares) row.second /= total;
  shares = ranked(std::move(shares));
  return shares[0].second < kMixtureShare ? shares : Scores{};
}

Prediction Prediction::among(const std::vector<std::string>& emotions) const {
  check_labels(scores, emotions);
  Prediction chosen = *this;
  chosen.scores = rescaled(scores, emotions);
  if (label) chosen.label = best_label(chosen.scores);
  for (Segment& segment : chosen.segments) {
    segment.scores = rescaled(segment.scores, emotions);
    if (segment.label) segment.label = best_label(segment.scores);
  }
  if (chosen.label != label) drop_shares(chosen);
  flag_timeline(chosen);
  return chosen;
}

Prediction Prediction::top(int count) const {
  if (count < 1) throw Error("UsageError", "expected a number of top scores of at least 1, got " + std::to_string(count));
  const auto shorten = [&](Scores& all) {
    all = ranked(std::move(all));
    all.resize(std::min(all.size(), static_cast<std::size_t>(count)));
  };
  Prediction chosen = *this;
  shorten(chosen.scores);
  for (Segment& segment : chosen.segments) shorten(segment.scores);
  return chosen;
}

}  // namespace phonemo
