// CTC prefix beam search with a phoneme language model (Hannun et al. 2014).
#pragma once

#include <vector>

#include "alignment.h"
#include "language_model.h"

namespace phonemo {

// The most probable phonemes given posteriors and a language model of the same inventory; indices
// without blanks. An Error (PhonemeError) for NaN and for numbers above zero.
std::vector<std::size_t> search(const Posteriors& posteriors, const PhonemeModel& model);

// The same, and the frames that emit each phoneme.
std::vector<AlignedPhoneme> decode_with(const Posteriors& posteriors, const PhonemeModel& model);

}  // namespace phonemo
