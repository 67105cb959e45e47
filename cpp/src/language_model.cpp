#include "language_model.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "../phonemo.h"
#include "npz.h"

namespace phonemo {
namespace {

constexpr std::size_t kMostPartsBytes = 1U << 26;

std::size_t power(std::size_t base, std::size_t exponent) {
  std::size_t product = 1;
  for (; exponent > 0; --exponent) product *= base;
  return product;
}

// Sorted, each n-gram once.
GramCounts merged(GramCounts counts) {
  std::sort(counts.begin(), counts.end());
  std::size_t size = 0;
  for (const auto& [gram, count] : counts) {
    if (size > 0 && counts[size - 1].first == gram) {
      counts[size - 1].second += count;
    } else {
      counts[size++] = {gram, count};
    }
  }
  counts.resize(size);
  return counts;
}

// The last phonemes of the n-grams: their index below `indices`, symbols to the power of the order.
GramCounts shortened(GramCounts counts, std::size_t indices) {
  for (auto& one : counts) one.first %= static_cast<std::uint32_t>(indices);
  return merged(std::move(counts));
}

// Witten and Bell's interpolation of one order: the more kinds follow a context, the more the
// probabilities of the lower order count.
void interpolate(Row& probabilities, const GramCounts& counts, std::size_t context) {
  const std::size_t start = context * probabilities.size();
  const auto place = [&](std::size_t gram) {
    return std::lower_bound(counts.begin(), counts.end(), gram,
                            [](const auto& one, std::size_t other) { return one.first < other; });
  };
  const auto first = place(start), last = place(start + probabilities.size());
  double total = 0, kinds = 0;
  for (auto one = first; one != last; ++one) total += one->second, kinds += one->second > 0;
  kinds = std::max(kinds, 1.0);
  for (double& value : probabilities) value *= kinds;
  for (auto one = first; one != last; ++one) probabilities[one->first - start] += one->second;
  for (double& value : probabilities) value /= total + kinds;
}

[[noreturn]] void fail_parts() {
  throw Error("CheckpointError", "phonemes.npz: expected n-gram counts of phonemes; export the model again");
}

using Arrays = std::map<std::string, Array>;

Arrays read_parts(const std::string& content) {
  Arrays parts;
  try {
    parts = read_npz(content, kMostPartsBytes);
  } catch (const NpzFault&) {
    fail_parts();
  }
  for (const char* name : {"symbols", "grams", "counts", "settings"}) {
    if (parts.count(name) == 0) fail_parts();
  }
  return parts;
}

DecoderSettings settings_of(const Array& part) {
  if (part.shape != std::vector<std::size_t>{3}) fail_parts();
  const double weight = part.values[0], bonus = part.values[1], beam = part.values[2];
  const bool is_within = weight >= 0 && beam >= 1 && beam <= static_cast<double>(kMostBeam);
  if (!std::isfinite(weight) || !std::isfinite(bonus) || !is_within) fail_parts();
  return {weight, bonus, static_cast<std::size_t>(beam)};
}

std::size_t size_of(const Array& part) {
  const double size = part.shape.empty() ? part.values[0] : 0;
  if (!(size >= 2 && size <= static_cast<double>(kMostSymbols))) fail_parts();
  return static_cast<std::size_t>(size);
}

std::size_t order_of(const Array& grams) {
  const std::size_t order = grams.shape.size() == 2 ? grams.shape[1] : 0;
  if (order < 2 || order > 3) fail_parts();
  return order;
}

GramCounts counts_of(const Array& grams, const Array& counts, std::size_t symbols) {
  const bool are_whole = grams.type == "|u1" && (counts.type == "<u4" || counts.type == "<u2" || counts.type == "|u1");
  if (!are_whole || counts.shape != std::vector<std::size_t>{grams.shape[0]}) fail_parts();
  const std::size_t order = order_of(grams);
  GramCounts all;
  all.reserve(counts.values.size());
  for (std::size_t row = 0; row < counts.values.size(); ++row) {
    std::size_t gram = 0;
    for (std::size_t place = row * order; place < (row + 1) * order; ++place) {
      const auto symbol = static_cast<std::size_t>(grams.values[place]);
      if (symbol >= symbols) fail_parts();
      gram = gram * symbols + symbol;
    }
    all.emplace_back(static_cast<std::uint32_t>(gram), counts.values[row]);
  }
  return all;
}

}  // namespace

PhonemeModel::PhonemeModel(std::size_t symbols, std::size_t order, GramCounts counts, const DecoderSettings& settings)
    : symbols_(symbols), contexts_(power(symbols, order - 1)), settings_(settings), orders_(order) {
  orders_[order - 1] = merged(std::move(counts));
  for (std::size_t below = order - 1; below > 0; --below) {
    orders_[below - 1] = shortened(orders_[below], power(symbols, below));
  }
}

std::vector<float> PhonemeModel::log_probabilities(std::size_t context) const {
  Row probabilities(symbols_, 1 / static_cast<double>(symbols_));
  std::size_t contexts = 1;  // of the order
  for (const GramCounts& counts : orders_) {
    interpolate(probabilities, counts, context % contexts);
    contexts *= symbols_;
  }
  std::vector<float> logarithms;
  for (const double value : probabilities) logarithms.push_back(static_cast<float>(std::log(value)));
  return logarithms;
}

void check_inventory(std::size_t symbols) {
  if (symbols <= kMostSymbols) return;
  throw Error("UsageError", "expected a model of at most " + std::to_string(kMostSymbols) + " symbols, got " +
                                std::to_string(symbols) + "; choose best-path");
}

PhonemeModel uniform_model(std::size_t symbols) {
  check_inventory(symbols);
  return {symbols, 2, {}, {}};
}

PhonemeModel unpacked_model(const std::string& content, std::size_t symbols) {
  const Arrays parts = read_parts(content);
  const DecoderSettings settings = settings_of(parts.at("settings"));
  const std::size_t size = size_of(parts.at("symbols"));
  const Array& grams = parts.at("grams");
  const std::size_t order = order_of(grams);
  GramCounts counts = counts_of(grams, parts.at("counts"), size);
  if (size != symbols) {
    throw Error("CheckpointError", "phonemes.npz: expected " + std::to_string(symbols) +
                                       " symbols as in the card, got " + std::to_string(size) +
                                       "; export the model again");
  }
  return {symbols, order, std::move(counts), settings};
}

}  // namespace phonemo
