// Phoneme language models: n-gram counts, and the probabilities of the phonemes after a context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "calibration.h"
#include "json.h"

namespace phonemo {

// Inventories above this size have no language model; the blank is counted.
constexpr std::size_t kMostSymbols = 255;
constexpr std::size_t kMostBeam = 1000;

// How a language model is combined with the network's posteriors.
struct DecoderSettings {
  double weight = 0;     // factor of the language model's log probabilities; the network's have 1
  double bonus = 0;      // added for each phoneme (natural logarithm)
  std::size_t beam = 8;  // prefixes kept in each frame
};

// N-grams as their index in base `symbols`, and how often each was seen.
using GramCounts = std::vector<std::pair<std::uint32_t, double>>;

// N-gram counts of one inventory, and how to decode with them. Immutable. Only the n-grams that were
// seen are stored: a table of the trigrams of 255 symbols has 16.6 million entries.
class PhonemeModel {
 public:
  // Orders are 2 and 3; the n-grams' phonemes are below `symbols`, which is at most kMostSymbols.
  PhonemeModel(std::size_t symbols, std::size_t order, GramCounts counts, const DecoderSettings& settings);

  // Natural log probabilities of the phonemes after a context; the first is the end of the utterance.
  // Computed in double and rounded to float, as the table of Python.
  std::vector<float> log_probabilities(std::size_t context) const;
  // The context after one more phoneme. A context is its phonemes' index in base `symbols`; that of
  // the start is 0.
  std::size_t context_after(std::size_t context, std::size_t symbol) const {
    return (context * symbols_ + symbol) % contexts_;
  }
  const DecoderSettings& settings() const { return settings_; }

 private:
  std::size_t symbols_, contexts_;
  DecoderSettings settings_;
  std::vector<GramCounts> orders_;  // sorted counts of single phonemes, then of longer n-grams
};

// UsageError for a larger inventory than a model may have.
void check_inventory(std::size_t symbols);

// A model without counts: the beam search then only adds up the paths of each string.
PhonemeModel uniform_model(std::size_t symbols);

// The model in a bundle's phonemes.npz, for an inventory of that size; CheckpointError for another
// content or inventory.
PhonemeModel unpacked_model(const std::string& content, std::size_t symbols);

// The model in the content of a language's file, for an inventory, the blank first; `language` is its
// name for messages. UsageError for another content, a larger inventory than a model may have, or one
// that lacks phonemes of more than 5 % of the n-grams.
PhonemeModel model_of_content(const Json& content, const std::vector<std::string>& symbols,
                              const std::string& language);

// The same for a path; UsageError for a file that cannot be read.
PhonemeModel read_language(const std::string& path, const std::vector<std::string>& symbols);

}  // namespace phonemo
