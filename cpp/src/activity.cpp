#include "activity.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "audio_source.h"
#include "levels.h"

namespace phonemo {
namespace {

// The constants and their reasons are those of phonemo.runtime.vad.
constexpr double kUsualClipDb = -45.0, kUsualStreamDb = -40.0;
constexpr int kUsualChunks = 3, kUsualHold = 1875;
constexpr std::size_t kRecentChunks = 94, kFewestChunks = 5;
constexpr double kEvidence = 6.0, kForget = 1.0 / 32;
constexpr std::size_t kFloorPercent = 5;
constexpr double kDigitalDb = -105.0, kAboveDb = 10.0, kLowestDb = -92.0, kRangeDb = 40.0, kLivelyDb = 18.0;
constexpr double kQuietestDb = -60.0, kRiseDb = 1.0, kHangSeconds = 0.2;
constexpr double kChunkSeconds = static_cast<double>(kChunkSamples) / kRate;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

ChunkLevel level_of(const float* chunk) {
  const auto [lowest, highest] = std::minmax_element(chunk, chunk + kChunkSamples);
  const double power = moments_of(chunk, kChunkSamples).variance;  // a constant offset is ignored
  const auto range = static_cast<double>(*highest - *lowest);
  return {10 * std::log10(power + 1e-12), 20 * std::log10(range / 2 + 1e-6)};
}

// The level above which there is speech; infinite where the levels are those of noise.
template <typename Levels>
double threshold_of(const Levels& levels) {
  std::vector<double> ranked;
  std::copy_if(levels.begin(), levels.end(), std::back_inserter(ranked), [](double one) { return one > kDigitalDb; });
  if (ranked.size() < kFewestChunks) return kInfinity;
  std::sort(ranked.begin(), ranked.end());
  const double floor = ranked[ranked.size() * kFloorPercent / 100], highest = ranked.back();
  if (highest - floor < kLivelyDb) return kInfinity;
  return std::max({floor + kAboveDb, kLowestDb, highest - kRangeDb});
}

}  // namespace

void FaintSpeech::expect(const std::vector<ChunkLevel>& chunks) {
  const auto usual = std::count_if(chunks.begin(), chunks.end(), [](const ChunkLevel& one) { return one.peak > kUsualClipDb; });
  std::vector<double> levels;
  for (const ChunkLevel& chunk : chunks) levels.push_back(chunk.level);
  threshold_ = usual >= kUsualChunks ? kInfinity : threshold_of(levels);
}

bool FaintSpeech::operator()(const ChunkLevel& chunk) {
  if (threshold_) return chunk.level > *threshold_;
  recent_.push_back(chunk.level);
  if (recent_.size() > kRecentChunks) recent_.pop_front();
  const bool is_strong = chunk.peak > kUsualStreamDb;
  strong_ = is_strong ? strong_ + 1 : std::max(0.0, strong_ - kForget);
  if (is_strong && strong_ >= kUsualChunks) {
    usual_left_ = kUsualHold, evidence_ = 0;
    strong_ = kUsualChunks;
  }
  if (usual_left_ > 0) --usual_left_;
  return usual_left_ == 0 && is_faint(chunk.level);
}

bool FaintSpeech::is_faint(double level) {
  const bool is_above = level > threshold_of(recent_);
  evidence_ = std::min(std::max(evidence_ + (is_above ? 1.0 : -kForget), 0.0), 2 * kEvidence);
  return is_above && evidence_ >= kEvidence;
}

void EnergyDetector::expect(const float* samples, std::size_t count) {
  std::vector<ChunkLevel> chunks;
  for (std::size_t at = 0; at + kChunkSamples <= count; at += kChunkSamples) chunks.push_back(level_of(samples + at));
  faint_.expect(chunks);
}

bool EnergyDetector::operator()(const float* chunk) {
  const ChunkLevel now = level_of(chunk);
  const bool is_faint = faint_(now);
  const bool is_loud = is_faint || now.level > std::max(kQuietestDb, floor_ + kAboveDb);
  floor_ = std::min(now.level, floor_ + kRiseDb * kChunkSeconds);
  hang_ = is_loud ? static_cast<int>(std::nearbyint(kHangSeconds / kChunkSeconds)) : hang_ - 1;
  return is_loud || hang_ > 0;
}

ActivityTrack ActivityTrack::of_clip(const float* samples, std::size_t count) {
  ActivityTrack track;
  track.detector_.expect(samples, count);
  track.push(samples, count);
  return track;
}

void ActivityTrack::push(const float* samples, std::size_t count) {
  rest_.insert(rest_.end(), samples, samples + count);
  std::size_t at = 0;
  for (; at + kChunkSamples <= rest_.size(); at += kChunkSamples) flags.push_back(detector_(rest_.data() + at));
  rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(at));
}

double ActivityTrack::seconds(std::size_t start, std::size_t end) const {
  const std::size_t last = std::min(end / kChunkSamples, flags.size());
  const std::size_t first = std::min(start / kChunkSamples, last);
  const auto begin = flags.begin();
  const auto count = std::count(begin + static_cast<std::ptrdiff_t>(first), begin + static_cast<std::ptrdiff_t>(last), true);
  return static_cast<double>(count) * static_cast<double>(kChunkSamples) / kRate;
}

double ActivityTrack::share(std::size_t start, std::size_t end) const {
  return std::min(1.0, seconds(start, end) * kRate / static_cast<double>(end - start));
}

std::optional<std::pair<std::size_t, std::size_t>> ActivityTrack::extent(std::size_t start, std::size_t end) const {
  const std::size_t last = std::min(end / kChunkSamples, flags.size());
  std::size_t first = start / kChunkSamples, stop = last;
  while (first < last && !flags[first]) ++first;
  if (first >= last) return std::nullopt;
  while (!flags[stop - 1]) --stop;
  return std::pair(std::max(start, first * kChunkSamples), std::min(end, stop * kChunkSamples));
}

}  // namespace phonemo
