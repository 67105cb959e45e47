// Speech emotion recognition with a phonemo bundle, over onnxruntime's C API.
//
// The algorithms are those of the Python runtime: tests/golden/runtime holds what both compute.
// A Recognizer never changes after it is loaded and may be used by any number of threads; a Stream
// belongs to one thread at a time. Every function throws phonemo::Error, and nothing else but
// std::bad_alloc. Times are seconds, samples are floats with a full scale of 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace phonemo {

// The version of this library, that of the Python package.
const char* version();

// A recording, model or option that cannot be used; what() is one printable line.
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message);
  // Of a recording: missing_file, unsupported_audio, empty_audio, too_short, audio_too_long,
  // audio_too_large, invalid_audio, invalid_channel. Of anything else, Python's class:
  // CheckpointError, ModelError, UsageError, LabelError, PhonemeError.
  const std::string& code() const { return code_; }
  // The exit status of a command: 2 for wrong usage, else 1.
  int exit_code() const;

 private:
  std::string code_;
};

// Emotions with their probabilities, in the order of the model.
using Scores = std::vector<std::pair<std::string, double>>;

// Arousal, valence and others, 0 to 1.
struct Dimensions {
  std::vector<std::pair<std::string, double>> values;
  bool derived = true;  // from the scores, by published norms; not by a head trained on ratings
};

// A recognized phoneme.
struct Span {
  std::string symbol;
  double start = 0, end = 0;
  double confidence = 0;
  std::optional<double> share;  // its contribution to the winning score, -1 to 1, on request
};

// The profile that a prediction was made with.
struct ProfileMark {
  std::string hash;
  std::int64_t count = 0;
};

// A part of a recording and its emotion.
struct Segment {
  double start = 0, end = 0;
  std::optional<std::string> label;
  Scores scores;
  bool unsure = false;  // the highest score is below the model's threshold
  std::optional<Dimensions> dimensions;
  int channel = 0;  // the chosen one, from 1 on; 0 is the mix of all

  std::string to_json() const;
};

// The emotion of a recording.
struct Prediction {
  std::optional<std::string> label;  // absent without speech
  Scores scores;                     // meaningless without speech
  double seconds = 0;
  std::optional<std::vector<Span>> spans;  // absent for a network without a phoneme head
  std::vector<std::string> warnings;
  std::vector<Segment> segments;
  std::optional<double> speech_ratio;
  std::optional<ProfileMark> profile;
  int channel = 0;  // the chosen one, from 1 on; 0 is the mix of all
  std::optional<Dimensions> dimensions;

  bool unsure() const;
  // Share of the segments' time by emotion, largest first, where none has half of 20 s or more;
  // else empty.
  Scores mixture() const;
  // Only some emotions, their scores rescaled to a sum of one.
  Prediction among(const std::vector<std::string>& emotions) const;
  // The highest scores only, unscaled, highest first.
  Prediction top(int count) const;
  // One line, as Prediction.to_dict(spans) in Python.
  std::string to_json(bool spans = false) const;
};

// A new result of a stream.
struct Event {
  std::string kind;  // "window": one window, immediate; "segment": part of the timeline, final
  Segment segment;
  std::optional<double> speech_ratio;  // of a window
  std::optional<ProfileMark> profile;

  // One line, as the message that the server's WebSocket sends.
  std::string to_json() const;
};

struct LoadOptions {
  // Threads of the network; 0 leaves the choice to onnxruntime.
  int threads = 0;
  // Open the network without onnxruntime's own optimization, in about half the time. An exported
  // network runs as fast without it, but int8 rounds differently: scores change by up to 0.01.
  bool fast_start = false;
  // Path of onnxruntime's shared library. Empty: the environment's PHONEMO_ONNXRUNTIME, else the
  // path given to the build, else libonnxruntime.so.1 and libonnxruntime.so of the system. A
  // process opens one; later values are ignored.
  std::string onnxruntime;
  // Below this score a prediction is unsure; absent: the model's threshold.
  std::optional<double> threshold;
};

struct PredictOptions {
  bool shares = false;    // each phoneme's contribution to the winning score
  bool timeline = false;  // segments over time for a short recording too
  int channel = 0;        // of a file, from 1 on; 0 mixes all
};

// A bundle in memory.
class Recognizer {
 public:
  // Open a bundle's folder and check its SHA-256.
  static Recognizer load(const std::string& folder, const LoadOptions& options = {});

  // Recognize a WAV file; longer ones than 30 s are read in blocks.
  Prediction predict_file(const std::string& path, const PredictOptions& options = {}) const;
  // Recognize mono samples at `rate` samples per second, 4000 to 384000.
  Prediction predict(const float* samples, std::size_t count, int rate,
                     const PredictOptions& options = {}) const;

  // A recognizer that applies a profile of `phonemo adapt` and shares the network.
  Recognizer with_profile(const std::string& path) const;
  // The same for the content of a profile file.
  Recognizer with_profile_text(const std::string& json) const;
  // A recognizer that decodes phonemes in another way and shares the network: best-path, beam-search,
  // language-model (that of the bundle), or the path of a language's file, which ends in .json. The
  // default is the bundle's language model, or the best path for a bundle without one.
  Recognizer with_decoding(const std::string& decoding) const;

  const std::vector<std::string>& labels() const;
  // Phoneme symbols, the blank first; empty for a model without a phoneme head.
  const std::vector<std::string>& symbols() const;
  // Version of the opened onnxruntime.
  std::string onnxruntime_version() const;

  struct State;

 private:
  friend class Stream;
  explicit Recognizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

struct StreamOptions {
  bool shares = false;
  bool adapt = false;  // build a profile of the stream's own windows and apply it to later ones
};

// A live stream: samples in, events out.
class Stream {
 public:
  Stream(const Recognizer& recognizer, int rate, const StreamOptions& options = {});
  ~Stream();
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;

  // Process the next mono samples, of any number. After invalid_audio the stream may go on.
  std::vector<Event> push(const float* samples, std::size_t count);
  // The last events and the prediction of the whole.
  std::pair<std::vector<Event>, Prediction> finish();
  // With `adapt`, the content of a profile file of the stream so far; empty before any speech.
  std::string profile() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace phonemo
