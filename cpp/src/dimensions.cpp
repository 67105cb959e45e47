#include "dimensions.h"

#include <algorithm>

#include "audio_source.h"

namespace phonemo {
namespace {

struct Norm {
  const char* emotion;
  std::array<double, 2> values;
};
// Russell and Mehrabian 1977, arousal and valence on 0 to 1, as phonemo.annotations.dimensions.
constexpr Norm kNorms[] = {
    {"anger", {0.795, 0.245}},     {"boredom", {0.19, 0.175}}, {"disgust", {0.675, 0.2}},  {"fear", {0.8, 0.18}},
    {"happiness", {0.755, 0.905}}, {"neutral", {0.5, 0.5}},    {"sadness", {0.365, 0.185}}, {"surprise", {0.835, 0.7}},
};

}  // namespace

DimensionReader::DimensionReader(const std::vector<std::string>& labels, std::vector<std::string> names)
    : emotions_(labels.size()), names_(std::move(names)) {
  if (!names_.empty()) return;
  for (const std::string& label : labels) {
    const auto* norm = std::find_if(std::begin(kNorms), std::end(kNorms), [&](const Norm& one) { return label == one.emotion; });
    if (norm == std::end(kNorms)) {
      norms_.clear();
      return;
    }
    norms_.push_back(norm->values);
  }
  names_ = {"arousal", "valence"};
}

std::optional<Dimensions> DimensionReader::read(const Row& row) const {
  if (names_.empty()) return std::nullopt;
  Dimensions found;
  found.derived = !norms_.empty();
  for (std::size_t at = 0; at < names_.size(); ++at) {
    double value = 0;
    if (norms_.empty()) value = row[emotions_ + at];
    for (std::size_t emotion = 0; emotion < norms_.size(); ++emotion) value += row[emotion] * norms_[emotion][at];
    found.values.emplace_back(names_[at], std::clamp(value, 0.0, 1.0));
  }
  return found;
}

Segment segment_of(std::size_t start, std::size_t end, const std::vector<std::string>& labels, const Row& row,
                   const DimensionReader& dimensions) {
  Segment segment;
  segment.start = static_cast<double>(start) / kRate;
  segment.end = static_cast<double>(end) / kRate;
  for (std::size_t at = 0; at < labels.size(); ++at) segment.scores.emplace_back(labels[at], row[at]);
  segment.label = labels[highest(Row(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(labels.size())))];
  segment.dimensions = dimensions.read(row);
  return segment;
}

}  // namespace phonemo
