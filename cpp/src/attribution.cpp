#include "attribution.h"

#include <algorithm>

#include "audio_source.h"

namespace phonemo {
namespace {

constexpr std::size_t kMostFeatures = 2000000;  // pooled at once; bounds the memory

}  // namespace

Masks frames_within(const std::vector<Span>& spans, const FrameGrid& grid, std::size_t frames) {
  Masks inside(spans.size(), std::vector<bool>(frames));
  for (std::size_t frame = 0; frame < frames; ++frame) {
    const double center = grid.sample_at(static_cast<double>(frame) + 0.5) / kRate;
    for (std::size_t at = 0; at < spans.size(); ++at) {
      inside[at][frame] = center >= spans[at].start && center < spans[at].end;
    }
  }
  return inside;
}

void add_attribution(std::vector<Span>& spans, const Decide& decide, const FrameGrid& grid, std::size_t frames,
                     std::size_t features) {
  Masks kept = frames_within(spans, grid, frames);
  for (std::vector<bool>& row : kept) row.flip();
  const Row full = decide({std::vector<bool>(frames, true)})[0];
  const std::size_t winner = highest(full);
  const std::size_t size = std::max<std::size_t>(1, kMostFeatures / std::max<std::size_t>(1, frames * features));
  for (std::size_t first = 0; first < spans.size(); first += size) {
    const std::size_t stop = std::min(first + size, spans.size());
    const Masks part(kept.begin() + static_cast<std::ptrdiff_t>(first), kept.begin() + static_cast<std::ptrdiff_t>(stop));
    const std::vector<Row> without = decide(part);
    for (std::size_t at = first; at < stop; ++at) {
      const bool is_any_left = std::find(kept[at].begin(), kept[at].end(), true) != kept[at].end();
      if (is_any_left) spans[at].share = full[winner] - without[at - first][winner];
    }
  }
}

}  // namespace phonemo
