#include "beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

namespace phonemo {
namespace {

// Phonemes below this probability do not extend a prefix in a frame.
constexpr double kFloor = 0.003;
constexpr double kLeast = 1e-300;
// Logarithms of float probabilities may exceed zero by a rounding error.
constexpr double kSlack = 1e-3;

// A phoneme string: a shorter one, by its place in the tree, and one phoneme more. Symbol 0 is that of
// the empty string.
struct Prefix {
  std::size_t parent = 0, symbol = 0, context = 0;
  double score = 0;  // the language model's weighted log probability and the bonuses

  std::uint64_t key() const { return parent * (kMostSymbols + 1) + symbol; }
};

// A prefix that a frame leads to, with the probabilities of its paths that end in a blank and of the
// others. They are apart since a repeated phoneme needs a blank in between.
struct Candidate {
  Prefix prefix;
  double ended = 0, open = 0, rank = 0;
};

// A prefix that is kept, by its place in the tree.
struct Kept {
  std::size_t place = 0;
  double ended = 0, open = 0;
};

// NaN, which only settings near the largest double lead to, is last: the order must be strict.
double rank_of(const Prefix& prefix, double ended, double open) {
  const double rank = std::log(std::max(ended + open, kLeast)) + prefix.score;
  return std::isnan(rank) ? -std::numeric_limits<double>::infinity() : rank;
}

// The candidates of one frame, in the order in which they were first added.
class Candidates {
 public:
  void add(const Prefix& prefix, double ended, double open) {
    const auto [place, is_new] = places_.try_emplace(prefix.key(), all_.size());
    if (is_new) all_.push_back({prefix, 0, 0, 0});
    all_[place->second].ended += ended;
    all_[place->second].open += open;
  }

  // The highest ones; of equal ones those that were added first.
  std::vector<Candidate> best(std::size_t most) {
    for (Candidate& one : all_) one.rank = rank_of(one.prefix, one.ended, one.open);
    const auto is_higher = [](const Candidate& one, const Candidate& other) { return one.rank > other.rank; };
    std::stable_sort(all_.begin(), all_.end(), is_higher);
    all_.resize(std::min(all_.size(), most));
    return std::move(all_);
  }

 private:
  std::vector<Candidate> all_;
  std::unordered_map<std::uint64_t, std::size_t> places_;
};

class Search {
 public:
  explicit Search(const PhonemeModel& model) : model_(model) { beam_.push_back({place_of({}), 1, 0}); }

  // One frame further.
  void step(const Row& log_posteriors);
  std::vector<std::size_t> best();

 private:
  std::size_t place_of(const Prefix& prefix);
  const std::vector<float>& row(std::size_t context);
  void extend(Candidates& candidates, const Kept& kept, const Row& frame, const std::vector<std::size_t>& likely);
  void keep(const std::vector<Candidate>& candidates);

  const PhonemeModel& model_;
  // All prefixes that were kept in any frame, since a string that returns must be the same prefix.
  std::vector<Prefix> tree_;
  std::unordered_map<std::uint64_t, std::size_t> places_;
  std::vector<Kept> beam_;
  // Rows of the language model by context. Each search has its own: threads share the counts only,
  // and memory is released at the end of a recording.
  std::unordered_map<std::size_t, std::vector<float>> rows_;
};

std::size_t Search::place_of(const Prefix& prefix) {
  const auto [place, is_new] = places_.try_emplace(prefix.key(), tree_.size());
  if (is_new) tree_.push_back(prefix);
  return place->second;
}

const std::vector<float>& Search::row(std::size_t context) {
  const auto [place, is_new] = rows_.try_emplace(context);
  if (is_new) place->second = model_.log_probabilities(context);
  return place->second;
}

void Search::extend(Candidates& candidates, const Kept& kept, const Row& frame,
                    const std::vector<std::size_t>& likely) {
  const Prefix& prefix = tree_[kept.place];
  const std::vector<float>& logarithms = row(prefix.context);
  const DecoderSettings& settings = model_.settings();
  for (const std::size_t symbol : likely) {
    const double before = symbol == prefix.symbol ? kept.ended : kept.ended + kept.open;
    if (!(before > 0)) continue;
    const double gain = settings.weight * static_cast<double>(logarithms[symbol]) + settings.bonus;
    const std::size_t context = model_.context_after(prefix.context, symbol);
    candidates.add({kept.place, symbol, context, prefix.score + gain}, 0, before * frame[symbol]);
  }
}

void Search::step(const Row& log_posteriors) {
  Row frame;
  std::vector<std::size_t> likely;
  for (const double value : log_posteriors) {
    frame.push_back(std::exp(value));
    if (frame.size() > 1 && frame.back() > kFloor) likely.push_back(frame.size() - 1);
  }
  Candidates candidates;
  for (const Kept& kept : beam_) {
    const Prefix& prefix = tree_[kept.place];
    const double own = prefix.symbol > 0 ? frame[prefix.symbol] * kept.open : 0;
    candidates.add(prefix, (kept.ended + kept.open) * frame[0], own);
    if (!likely.empty()) extend(candidates, kept, frame, likely);
  }
  keep(candidates.best(model_.settings().beam));
}

// The probabilities are scaled so that they never vanish.
void Search::keep(const std::vector<Candidate>& candidates) {
  double scale = 0;
  for (const Candidate& one : candidates) scale = std::max(scale, one.ended + one.open);
  if (scale == 0) scale = 1;
  beam_.clear();
  for (const Candidate& one : candidates) {
    beam_.push_back({place_of(one.prefix), one.ended / scale, one.open / scale});
  }
}

std::vector<std::size_t> Search::best() {
  std::size_t place = beam_[0].place;
  double most = -std::numeric_limits<double>::infinity();
  for (const Kept& kept : beam_) {
    const Prefix& prefix = tree_[kept.place];
    const double end = model_.settings().weight * static_cast<double>(row(prefix.context)[0]);
    const double rank = rank_of(prefix, kept.ended, kept.open) + end;
    if (rank > most) most = rank, place = kept.place;
  }
  std::vector<std::size_t> symbols;
  for (; place > 0; place = tree_[place].parent) symbols.push_back(tree_[place].symbol);
  std::reverse(symbols.begin(), symbols.end());
  return symbols;
}

void check_posteriors(const Posteriors& posteriors) {
  for (const Row& frame : posteriors) {
    const bool are_logarithms = std::all_of(frame.begin(), frame.end(), [](double value) { return value <= kSlack; });
    if (are_logarithms) continue;
    throw Error("PhonemeError", "expected natural logarithms of probabilities, got NaN or numbers above zero; apply a "
                                "log-softmax to logits first");
  }
}

}  // namespace

std::vector<std::size_t> search(const Posteriors& posteriors, const PhonemeModel& model) {
  check_posteriors(posteriors);
  Search beam(model);
  for (const Row& frame : posteriors) beam.step(frame);
  return beam.best();
}

std::vector<AlignedPhoneme> decode_with(const Posteriors& posteriors, const PhonemeModel& model) {
  return align(posteriors, search(posteriors, model));
}

}  // namespace phonemo
