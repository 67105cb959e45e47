// CTC posteriors to phonemes in time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "../phonemo.h"
#include "bundle.h"
#include "calibration.h"

namespace phonemo {

// Natural logarithms of probabilities, (frame, phoneme), the blank first.
using Posteriors = std::vector<Row>;

// A phoneme and the frames that emit it, the last one included.
struct AlignedPhoneme {
  std::size_t symbol, first, last;
  double confidence;
};

// A phoneme and the samples that it covers, the end not included.
struct TimedPhoneme {
  std::size_t symbol;
  std::int64_t start, end;
  double confidence;
};

// How the frames between two phonemes are divided.
enum class GapRule { spike, midpoint, posterior };

// The best path: the best symbol of each frame, repeats merged, blanks removed.
std::vector<AlignedPhoneme> decode_phonemes(const Posteriors& posteriors);

// The most probable path that spells given symbols; an Error (PhonemeError) where they need more
// frames than there are, or one is unknown.
std::vector<AlignedPhoneme> align(const Posteriors& posteriors, const std::vector<std::size_t>& symbols);

// Where each phoneme begins and ends in a recording of `samples`.
std::vector<TimedPhoneme> time_phonemes(const std::vector<AlignedPhoneme>& aligned, const Posteriors& posteriors,
                                        const FrameGrid& grid, std::int64_t samples,
                                        GapRule rule = GapRule::posterior);

// Named phonemes in seconds.
std::vector<Span> spans_of(const std::vector<TimedPhoneme>& timed, const std::vector<std::string>& symbols);

}  // namespace phonemo
