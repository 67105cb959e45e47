// Golden files, and what counts as equal.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "alignment.h"
#include "calibration.h"
#include "json.h"

namespace golden {

using phonemo::Json;
using phonemo::Row;

// Counts comparisons and prints those that fail.
class Checks {
 public:
  explicit Checks(std::string folder) : folder_(std::move(folder)) {}

  const std::string& folder() const { return folder_; }
  // A file of the folder.
  Json read(const std::string& name) const;

  void check(bool is_equal, const std::string& place, const std::string& actual, const std::string& expected);
  void same(const std::string& actual, const std::string& expected, const std::string& place);
  void same(long long actual, long long expected, const std::string& place);
  // Within a share of 1, or of the expected value where that is larger.
  void near(double actual, double expected, double tolerance, const std::string& place);
  void near(const Row& actual, const Json& expected, double tolerance, const std::string& place);
  // Two documents: keys, texts and truth equal; numbers within `tolerance` of their key.
  void alike(const Json& actual, const Json& expected, const std::function<double(const std::string&)>& tolerance,
             const std::string& place, const std::string& key = "");
  int failures() const { return failures_; }
  int count() const { return count_; }
  // Failures from here on are counted, and printed only if they are too many.
  void tolerate(int more) { tolerated_ += more; }

 private:
  std::string folder_;
  int count_ = 0, failures_ = 0, tolerated_ = 0;
};

// A value of an object; it must exist.
const Json& at(const Json& object, const char* key);
Row row_of(const Json& list);
std::vector<Row> rows_of(const Json& list);
std::vector<std::string> texts_of(const Json& list);

// The samples of a recording in signals.json.
std::vector<float> signal(const Checks& checks, const std::string& name);

// Phonemes with their frames, each [symbol, first frame, last frame, confidence].
void check_aligned(Checks& checks, const std::vector<phonemo::AlignedPhoneme>& found, const Json& expected);

// Each compares one file.
void check_signals(Checks& checks);
void check_levels(Checks& checks);
void check_vad(Checks& checks);
void check_windows(Checks& checks);
void check_timeline(Checks& checks);
void check_alignment(Checks& checks);
void check_decoding(Checks& checks);
void check_attribution(Checks& checks);
void check_calibration(Checks& checks);
void check_adaptation(Checks& checks);
void check_dimensions(Checks& checks);
void check_doubt(Checks& checks);
void check_resampling(Checks& checks);
void check_errors(Checks& checks);
void check_predictions(Checks& checks);
void check_streams(Checks& checks);

}  // namespace golden
