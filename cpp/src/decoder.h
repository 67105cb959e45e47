// The choice of how phonemes are decoded.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "alignment.h"
#include "language_model.h"

namespace phonemo {

// Decodes phonemes by the best path, or by a beam search with or without a language model. Immutable;
// copies share the models.
class PhonemeDecoder {
 public:
  // The default is the bundle's own language model, or the best path without one (null).
  explicit PhonemeDecoder(std::shared_ptr<const PhonemeModel> own = nullptr) : own_(own), searched_(std::move(own)) {}

  // Another decoding for the same inventory: best-path, beam-search, language-model or the path of a
  // language's file. UsageError for anything else, and for what the model does not support.
  PhonemeDecoder chosen(const std::string& decoding, const std::vector<std::string>& symbols) const;
  std::vector<AlignedPhoneme> decode(const Posteriors& posteriors) const;

 private:
  std::shared_ptr<const PhonemeModel> searched_for(const std::string& decoding,
                                                   const std::vector<std::string>& symbols) const;

  std::shared_ptr<const PhonemeModel> own_, searched_;  // searched_ is null for the best path
};

}  // namespace phonemo
