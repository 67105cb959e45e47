#include <algorithm>
#include <cmath>
#include <map>

#include "../phonemo.h"
#include "npz.h"
#include "sha256.h"
#include "statistics.h"

namespace phonemo {
namespace {

constexpr std::size_t kMostArrayBytes = 1U << 26;
constexpr double kMostIterations = 1000;
constexpr const char* kArrays[] = {"centre", "spread", "class_means", "weight", "bias"};
constexpr const char* kNumbers[] = {"k_mean", "k_spread", "em_iterations", "radius"};

using Arrays = std::map<std::string, Array>;

[[noreturn]] void fail_arrays(const std::string& fault) {
  throw Error("CheckpointError", "adaptation.npz: " + fault + "; export the model again");
}

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text = "(";
  for (std::size_t at = 0; at < shape.size(); ++at) text += (at > 0 ? ", " : "") + std::to_string(shape[at]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

Arrays read_arrays(const std::string& content) {
  Arrays arrays;
  try {
    arrays = read_npz(content, kMostArrayBytes);
  } catch (const NpzFault&) {
    fail_arrays("cannot be read as numpy arrays");
  }
  const auto has = [&](const char* name) { return arrays.count(name) > 0; };
  if (!std::all_of(std::begin(kArrays), std::end(kArrays), has) ||
      !std::all_of(std::begin(kNumbers), std::end(kNumbers), has)) {
    fail_arrays("cannot be read as numpy arrays");
  }
  return arrays;
}

void check_shapes(const Arrays& arrays, std::size_t emotions) {
  for (const char* name : kArrays) {
    if (arrays.at(name).type != "<f4") fail_arrays("expected float32 arrays");
  }
  const std::vector<std::size_t>& centre = arrays.at("centre").shape;
  const std::size_t width = centre.size() == 1 ? centre[0] : 0;
  const std::vector<std::size_t> table{emotions, width};
  const std::pair<const char*, std::vector<std::size_t>> shapes[] = {
      {"centre", {width}}, {"spread", {width}}, {"bias", {emotions}}, {"class_means", table}, {"weight", table}};
  for (const auto& [name, shape] : shapes) {
    if (width > 0 && arrays.at(name).shape == shape) continue;
    fail_arrays(std::string("expected ") + name + " of shape " + shape_text(shape) + ", not empty, got " +
         shape_text(arrays.at(name).shape));
  }
  for (const char* name : kNumbers) {
    const Array& number = arrays.at(name);
    if (!number.shape.empty() || number.type != "<f8") fail_arrays("expected numbers in k_mean, k_spread, em_iterations and radius");
  }
}

void check_values(const Arrays& arrays) {
  const auto number = [&](const char* name) { return arrays.at(name).values[0]; };
  if (!(number("radius") > 0)) fail_arrays("expected a radius above 0");
  for (const auto& [name, array] : arrays) {
    const bool is_finite = std::all_of(array.values.begin(), array.values.end(), [](double one) { return std::isfinite(one); });
    if (name != "radius" && !is_finite) fail_arrays("expected finite numbers, got NaN or infinity");
  }
  const std::vector<double>& spread = arrays.at("spread").values;
  if (!std::all_of(spread.begin(), spread.end(), [](double one) { return one > 0; })) fail_arrays("expected a spread above 0");
  const double iterations = number("em_iterations");
  if (number("k_mean") < 0 || number("k_spread") < 0 || iterations < 0) {
    fail_arrays("expected k_mean, k_spread and em_iterations of 0 or more");
  }
  if (iterations > kMostIterations || iterations != std::floor(iterations)) {
    fail_arrays("expected a whole number of em_iterations up to 1000");
  }
}

std::vector<Row> rows_of(const Array& array) {
  std::vector<Row> rows;
  const auto width = static_cast<std::ptrdiff_t>(array.shape[1]);
  for (auto first = array.values.begin(); first != array.values.end(); first += width) rows.emplace_back(first, first + width);
  return rows;
}

void add_array(Sha256& hash, const std::vector<std::size_t>& shape, const std::vector<Row>& rows) {
  hash.add(shape_text(shape));
  for (const Row& row : rows) {
    const std::vector<float> values(row.begin(), row.end());
    hash.add(values.data(), values.size() * sizeof(float));
  }
}

}  // namespace

std::string Reference::digest() const {
  Sha256 hash;
  const std::vector<std::size_t> table{bias.size(), centre.size()};
  add_array(hash, {centre.size()}, {centre});
  add_array(hash, {spread.size()}, {spread});
  add_array(hash, table, class_means);
  add_array(hash, table, weight);
  add_array(hash, {bias.size()}, {bias});
  return hash.hexadecimal();
}

Reference unpacked_reference(const std::string& content, std::size_t emotions) {
  const Arrays arrays = read_arrays(content);
  check_shapes(arrays, emotions);
  check_values(arrays);
  Reference reference;
  reference.centre = arrays.at("centre").values;
  reference.spread = arrays.at("spread").values;
  reference.class_means = rows_of(arrays.at("class_means"));
  reference.weight = rows_of(arrays.at("weight"));
  reference.bias = arrays.at("bias").values;
  reference.k_mean = arrays.at("k_mean").values[0];
  reference.k_spread = arrays.at("k_spread").values[0];
  reference.radius = arrays.at("radius").values[0];
  reference.em_iterations = static_cast<int>(arrays.at("em_iterations").values[0]);
  return reference;
}

}  // namespace phonemo
