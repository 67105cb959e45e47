#include "alignment.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "audio_source.h"

namespace phonemo {
namespace {

// The constants and their reasons are those of phonemo.runtime.phonemes.alignment.
constexpr double kPauseSeconds = 0.25, kEdgeSeconds = 0.04;
constexpr double kLowest = -1e4, kMostOdds = 20.0;

AlignedPhoneme emission(const Posteriors& scores, std::size_t symbol, std::size_t first, std::size_t stop) {
  double total = 0;
  for (std::size_t frame = first; frame < stop; ++frame) total += scores[frame][symbol];
  const double mean = total / static_cast<double>(stop - first);
  return {symbol, first, stop - 1, std::min(1.0, std::exp(mean))};
}

// The state of every frame: even states are blanks, odd ones the symbols in their order.
std::vector<std::size_t> best_states(const Posteriors& scores, const std::vector<std::size_t>& states) {
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  const std::size_t count = states.size();
  std::vector<double> total(count, kNever), next(count);
  std::vector<std::vector<unsigned char>> steps(scores.size(), std::vector<unsigned char>(count));
  const auto score = [&](std::size_t frame, std::size_t state) { return std::max(scores[frame][states[state]], kLowest); };
  for (std::size_t state = 0; state < std::min<std::size_t>(2, count); ++state) total[state] = score(0, state);
  for (std::size_t frame = 1; frame < scores.size(); ++frame) {
    for (std::size_t state = 0; state < count; ++state) {
      double best = total[state];
      unsigned char step = 0;
      if (state >= 1 && total[state - 1] > best) best = total[state - 1], step = 1;
      const bool may_skip = state >= 3 && state % 2 == 1 && states[state] != states[state - 2];
      if (may_skip && total[state - 2] > best) best = total[state - 2], step = 2;
      steps[frame][state] = step;
      next[state] = best + score(frame, state);
    }
    total.swap(next);
  }
  std::size_t state = total[count - 1] >= total[count - 2] ? count - 1 : count - 2;
  std::vector<std::size_t> path(scores.size());
  for (std::size_t frame = scores.size(); frame-- > 0;) path[frame] = state, state -= steps[frame][state];
  return path;
}

void check_symbols(const Posteriors& posteriors, const std::vector<std::size_t>& symbols) {
  const std::size_t size = posteriors.empty() ? 0 : posteriors[0].size();
  std::size_t fewest = symbols.size();
  for (std::size_t at = 0; at < symbols.size(); ++at) {
    fewest += at > 0 && symbols[at] == symbols[at - 1];
    if (symbols[at] > 0 && symbols[at] < size) continue;
    throw Error("PhonemeError", "expected phonemes from 0 to " + std::to_string(size - 1) +
                                    " without the blank 0, got " + std::to_string(symbols[at]) +
                                    "; encode the string with the network's inventory");
  }
  if (fewest <= posteriors.size()) return;
  throw Error("PhonemeError", "expected at least " + std::to_string(fewest) + " frames for " +
                                  std::to_string(symbols.size()) + " phonemes, got " +
                                  std::to_string(posteriors.size()) +
                                  "; check that the phonemes belong to the recording");
}

// Where a gap's frames change from the left to the right phoneme, in frames from its start: the cut
// with the most evidence on either side, equally good ones averaged.
double evidence_cut(const std::vector<double>& odds) {
  std::vector<double> evidence(odds.size() + 1, 0.0);
  for (std::size_t at = 0; at < odds.size(); ++at) evidence[at + 1] = evidence[at] + odds[at];
  const double most = *std::max_element(evidence.begin(), evidence.end());
  double total = 0;
  int cuts = 0;
  for (std::size_t at = 0; at < evidence.size(); ++at) {
    if (evidence[at] >= most - 1e-9) total += static_cast<double>(at), ++cuts;
  }
  double cut = total / cuts;
  if (cuts == 1 && cut > 0 && cut < static_cast<double>(odds.size())) {
    const auto place = static_cast<std::size_t>(cut);
    cut += odds[place - 1] / (odds[place - 1] - odds[place]) - 0.5;
  }
  return cut;
}

struct Edges {
  double end, start;  // positions in hops: of the left phoneme's end and the right one's start
};

Edges gap_edges(const AlignedPhoneme& left, const AlignedPhoneme& right, const Posteriors& posteriors, GapRule rule,
                double pause, double reach) {
  const auto end = static_cast<double>(left.last + 1), start = static_cast<double>(right.first);
  if (start - end > pause) {
    const double part = std::min(reach, (start - end) / 2);
    return {end + part, start - part};
  }
  if (rule == GapRule::spike) return {end, start};
  double cut = (start - end) / 2;
  if (rule == GapRule::posterior) {
    std::vector<double> odds;
    for (std::size_t frame = left.last + 1; frame < right.first; ++frame) {
      const auto score = [&](std::size_t symbol) { return std::max(posteriors[frame][symbol], kLowest); };
      odds.push_back(std::clamp(score(left.symbol) - score(right.symbol), -kMostOdds, kMostOdds));
    }
    cut = evidence_cut(odds);
  }
  return {end + cut, end + cut};
}

std::int64_t sample_of(const FrameGrid& grid, double position, std::int64_t samples) {
  const auto sample = static_cast<std::int64_t>(std::nearbyint(grid.sample_at(position)));
  return std::clamp<std::int64_t>(sample, 0, samples);
}

}  // namespace

std::vector<AlignedPhoneme> decode_phonemes(const Posteriors& posteriors) {
  std::vector<AlignedPhoneme> decoded;
  for (std::size_t first = 0; first < posteriors.size();) {
    const std::size_t symbol = highest(posteriors[first]);
    std::size_t stop = first + 1;
    while (stop < posteriors.size() && highest(posteriors[stop]) == symbol) ++stop;
    if (symbol != 0) decoded.push_back(emission(posteriors, symbol, first, stop));
    first = stop;
  }
  return decoded;
}

std::vector<AlignedPhoneme> align(const Posteriors& posteriors, const std::vector<std::size_t>& symbols) {
  check_symbols(posteriors, symbols);
  if (symbols.empty()) return {};
  std::vector<std::size_t> states(2 * symbols.size() + 1, 0);
  for (std::size_t at = 0; at < symbols.size(); ++at) states[2 * at + 1] = symbols[at];
  const std::vector<std::size_t> path = best_states(posteriors, states);
  std::vector<AlignedPhoneme> aligned;
  for (std::size_t at = 0; at < symbols.size(); ++at) {
    const auto [first, stop] = std::equal_range(path.begin(), path.end(), 2 * at + 1);
    aligned.push_back(emission(posteriors, symbols[at], static_cast<std::size_t>(first - path.begin()),
                               static_cast<std::size_t>(stop - path.begin())));
  }
  return aligned;
}

std::vector<TimedPhoneme> time_phonemes(const std::vector<AlignedPhoneme>& aligned, const Posteriors& posteriors,
                                        const FrameGrid& grid, std::int64_t samples, GapRule rule) {
  if (aligned.empty()) return {};
  const double hops = static_cast<double>(kRate) / static_cast<double>(grid.hop);  // a second
  const double reach = rule == GapRule::spike ? 0 : kEdgeSeconds * hops;
  std::vector<TimedPhoneme> timed;
  double start = static_cast<double>(aligned[0].first) - reach;
  for (std::size_t at = 0; at < aligned.size(); ++at) {
    Edges edges{static_cast<double>(aligned[at].last + 1) + reach, 0};
    if (at + 1 < aligned.size()) {
      edges = gap_edges(aligned[at], aligned[at + 1], posteriors, rule, kPauseSeconds * hops, reach);
    }
    timed.push_back({aligned[at].symbol, sample_of(grid, start, samples), sample_of(grid, edges.end, samples),
                     aligned[at].confidence});
    start = edges.start;
  }
  return timed;
}

std::vector<Span> spans_of(const std::vector<TimedPhoneme>& timed, const std::vector<std::string>& symbols) {
  std::vector<Span> spans;
  for (const TimedPhoneme& one : timed) {
    Span span;
    span.symbol = symbols[one.symbol];
    span.start = static_cast<double>(one.start) / kRate;
    span.end = static_cast<double>(one.end) / kRate;
    span.confidence = one.confidence;
    spans.push_back(std::move(span));
  }
  return spans;
}

}  // namespace phonemo
