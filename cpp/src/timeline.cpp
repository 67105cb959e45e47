#include "timeline.h"

#include <algorithm>
#include <cmath>

#include "activity.h"
#include "audio_source.h"

namespace phonemo {
namespace {

constexpr std::int64_t kReach = 2;  // windows on either side of a cell's start that it depends on
constexpr double kGapSeconds = 1.0, kSlightSeconds = 0.5;

}  // namespace

bool Timeline::Cell::is_short() const { return static_cast<double>(end - start) < kSlightSeconds * kRate; }

Timeline::Timeline(const std::vector<std::string>& labels, std::size_t hop, Extent extent,
                   const DimensionReader& dimensions)
    : labels_(labels), hop_(hop), extent_(std::move(extent)), dimensions_(dimensions) {}

std::vector<Segment> Timeline::add(std::optional<WindowScore> score) {
  if (score) scores_[windows_] = std::move(*score);
  ++windows_;
  return decide(windows_ - kReach + 1, static_cast<std::size_t>(windows_) * hop_);
}

std::vector<Segment> Timeline::finish(std::size_t samples) {
  std::vector<Segment> closed = decide(static_cast<std::int64_t>((samples + hop_ - 1) / hop_), samples);
  close(std::nullopt, closed);
  return closed;
}

std::vector<Segment> Timeline::decide(std::int64_t stop, std::size_t samples) {
  std::vector<Segment> closed;
  for (; cells_ < stop; ++cells_) {
    const std::size_t end = std::min(static_cast<std::size_t>(cells_ + 1) * hop_, samples);
    const std::optional<Cell> next = cell(cells_, end);
    if (!extends_segment(next, end)) close(next, closed);
    if (next) open_.push_back(*next);
    scores_.erase(cells_ - kReach);
  }
  return closed;
}

std::optional<Timeline::Cell> Timeline::cell(std::int64_t number, std::size_t end) const {
  const auto extent = extent_(static_cast<std::size_t>(number) * hop_, end);
  Row mean;
  double total = 0;
  for (std::int64_t window = number - kReach; window < number + kReach; ++window) {
    const auto found = scores_.find(window);
    if (found == scores_.end()) continue;
    const double apart = std::fabs(static_cast<double>(window) + 0.5 - static_cast<double>(number));
    const double weight = found->second.weight * (1 - apart / kReach);
    mean.resize(found->second.scores.size());
    for (std::size_t at = 0; at < mean.size(); ++at) mean[at] += found->second.scores[at] * weight;
    total += weight;
  }
  if (!extent || !(total > 0)) return std::nullopt;
  for (double& score : mean) score /= total;
  const Row emotions(mean.begin(), mean.begin() + static_cast<std::ptrdiff_t>(labels_.size()));
  return Cell{extent->first, extent->second, mean, highest(emotions)};
}

// Whether the open segment may include this cell or, if it has no speech, a later one.
bool Timeline::extends_segment(const std::optional<Cell>& cell, std::size_t end) const {
  if (open_.empty()) return true;
  const auto begins = static_cast<double>(cell ? cell->start : end);
  if (begins - static_cast<double>(open_.back().end) > kGapSeconds * kRate) return false;
  if (!cell || cell->is_short()) return true;
  const auto last = std::find_if(open_.rbegin(), open_.rend(), [](const Cell& one) { return !one.is_short(); });
  return last == open_.rend() || last->label == cell->label;
}

// Close the open segment, extended to the next cell where that follows directly.
void Timeline::close(const std::optional<Cell>& following, std::vector<Segment>& closed) {
  if (open_.empty()) return;
  const bool is_any_long = std::any_of(open_.begin(), open_.end(), [](const Cell& one) { return !one.is_short(); });
  Row mean(open_[0].scores.size());
  double total = 0;
  for (const Cell& one : open_) {
    if (is_any_long && one.is_short()) continue;
    const auto size = static_cast<double>(one.end - one.start);
    for (std::size_t at = 0; at < mean.size(); ++at) mean[at] += one.scores[at] * size;
    total += size;
  }
  for (double& score : mean) score /= total;
  std::size_t end = open_.back().end;
  // a cell may end within a chunk of voice activity
  if (following && following->start < end + kChunkSamples) end = following->start;
  closed.push_back(segment_of(open_[0].start, end, labels_, mean, dimensions_));
  segments_.push_back(closed.back());
  open_.clear();
}

}  // namespace phonemo
