// The command phonemo-cpp.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "../phonemo.h"
#include "json.h"
#include "text.h"

#ifndef PHONEMO_MODEL
#define PHONEMO_MODEL ""
#endif

namespace {

constexpr const char* kHelp =
    "usage: phonemo-cpp [options] FILE...\n"
    "\n"
    "Recognize the emotion of WAV recordings; print a line of JSON for each, as phonemo predict --format jsonl.\n"
    "Exit status 0: all succeeded; 1: some failed, each with an error in its line; 2: wrong usage.\n"
    "\n"
    "  --model FOLDER       bundle to use (default: that of the build)\n"
    "  --phonemes           add the time of each phoneme and its contribution to the emotion\n"
    "  --decoding NAME|FILE phonemes by best-path, beam-search, language-model or the .json FILE of a language\n"
    "  --timeline           emotions over time for short recordings too\n"
    "  --profile FILE       apply a profile of phonemo adapt\n"
    "  --labels A,B         choose only among these emotions\n"
    "  --top-k N            number of highest scores to show\n"
    "  --threshold X        below this score a prediction is unsure (default: that of the model)\n"
    "  --channels N|mix     take one channel, from 1 on\n"
    "  --stream RATE        read raw samples (s16le, mono) of that rate from standard input; print events\n"
    "  --adapt              let a stream adapt to itself\n"
    "  --fast-start         open the network unoptimized: half the time, scores differ by up to 0.01\n"
    "  --threads N          threads of the network\n"
    "  --onnxruntime FILE   onnxruntime's shared library\n"
    "  --version, --help\n";

struct Arguments {
  std::vector<std::string> files;
  std::string model = PHONEMO_MODEL, profile;
  std::optional<std::string> decoding;
  std::vector<std::string> labels;
  int top = 0, stream_rate = 0;
  bool adapt = false, is_done = false;
  phonemo::LoadOptions load;
  phonemo::PredictOptions predict;
};

[[noreturn]] void fail_usage(const std::string& message) { throw phonemo::Error("UsageError", message); }

int whole_number(const std::string& option, const std::string& text, int least, int most) {
  char* end = nullptr;
  errno = 0;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || errno != 0 || value < least || value > most) {
    fail_usage(option + ": expected a number from " + std::to_string(least) + " to " + std::to_string(most) +
               ", got " + phonemo::safe_name(text));
  }
  return static_cast<int>(value);
}

double threshold_of(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= 0 && value <= 1)) {
    fail_usage("--threshold: expected a number from 0 to 1, got " + phonemo::safe_name(text));
  }
  return value;
}

std::vector<std::string> names_of(const std::string& text) {
  std::vector<std::string> names = phonemo::split(text, ',');
  for (std::string& name : names) {
    const std::size_t first = name.find_first_not_of(' '), last = name.find_last_not_of(' ');
    if (first == name.npos) fail_usage("--labels: expected emotions separated by commas, such as anger,neutral");
    name = name.substr(first, last - first + 1);
  }
  return names;
}

// Set an option that takes a value; false for an unknown one.
bool set_option(Arguments& all, const std::string& option, const std::string& value) {
  if (option == "--model") return all.model = value, true;
  if (option == "--profile") return all.profile = value, true;
  if (option == "--decoding") return all.decoding = value, true;
  if (option == "--labels") return all.labels = names_of(value), true;
  if (option == "--top-k") return all.top = whole_number(option, value, 1, 1000), true;
  if (option == "--threshold") return all.load.threshold = threshold_of(value), true;
  if (option == "--threads") return all.load.threads = whole_number(option, value, 1, 1024), true;
  if (option == "--onnxruntime") return all.load.onnxruntime = value, true;
  if (option == "--stream") return all.stream_rate = whole_number(option, value, 4000, 384000), true;
  if (option != "--channels") return false;
  all.predict.channel = value == "mix" ? 0 : whole_number(option, value, 1, 64);
  return true;
}

bool set_flag(Arguments& all, const std::string& option) {
  if (option == "--phonemes") return all.predict.shares = true;
  if (option == "--timeline") return all.predict.timeline = true;
  if (option == "--fast-start") return all.load.fast_start = true;
  if (option == "--adapt") return all.adapt = true;
  if (option == "--help" || option == "-h") return std::cout << kHelp, all.is_done = true;
  if (option == "--version") return std::cout << phonemo::version() << "\n", all.is_done = true;
  return false;
}

Arguments parse(const std::vector<std::string>& words) {
  Arguments all;
  bool are_files = false;
  for (std::size_t at = 0; at < words.size() && !all.is_done; ++at) {
    const std::string& word = words[at];
    if (are_files || word.size() < 2 || word[0] != '-') {
      all.files.push_back(word);
    } else if (word == "--") {
      are_files = true;
    } else if (!set_flag(all, word)) {
      const std::size_t equals = word.find('=');
      const bool is_joined = equals != word.npos;
      if (!is_joined && at + 1 >= words.size()) {
        fail_usage(phonemo::safe_name(word) + ": unknown option, or one without its value; see --help");
      }
      const std::string value = is_joined ? word.substr(equals + 1) : words[at + 1];
      if (!set_option(all, word.substr(0, equals), value)) {
        fail_usage(phonemo::safe_name(word) + ": unknown option; see --help");
      }
      at += is_joined ? 0 : 1;
    }
  }
  return all;
}

void check(const Arguments& all) {
  if (all.files.empty() && all.stream_rate == 0) fail_usage("expected FILE, a WAV recording, got none; see --help");
  if (!all.files.empty() && all.stream_rate != 0) fail_usage("--stream reads standard input; leave out the files");
  if (all.adapt && all.stream_rate == 0) fail_usage("--adapt needs --stream RATE");
  if (all.model.empty()) fail_usage("expected a bundle, got none; name one: --model FOLDER");
}

phonemo::Prediction narrowed(phonemo::Prediction found, const Arguments& all) {
  if (!all.labels.empty()) found = found.among(all.labels);
  return all.top > 0 ? found.top(all.top) : found;
}

void print(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
}

// A line of JSON that begins with the file's name; a name that is not UTF-8 is escaped as in Python.
std::string row_of(const std::string& file, const std::string& rest) {
  std::string row = "{\"file\": ";
  phonemo::append_json_string(row, file, !phonemo::is_valid_utf8(file));
  return row + ", " + rest.substr(1);
}

std::string error_row(const std::string& file, const phonemo::Error& error) {
  constexpr const char* kClasses[] = {"CheckpointError", "ModelError", "UsageError", "LabelError", "PhonemeError"};
  bool is_class = false;
  for (const char* name : kClasses) is_class = is_class || name == error.code();
  std::string object = "{\"error\": ";
  phonemo::append_json_string(object, error.what());
  object += ", \"code\": ";
  phonemo::append_json_string(object, is_class ? "error" : error.code());
  return row_of(file, object + "}");
}

int run_files(const phonemo::Recognizer& recognizer, const Arguments& all) {
  int status = 0;
  for (const std::string& file : all.files) {
    try {
      const phonemo::Prediction found = narrowed(recognizer.predict_file(file, all.predict), all);
      const std::string channel = found.channel > 0 ? "{\"channel\": " + std::to_string(found.channel) + ", " : "";
      const std::string object = found.to_json(all.predict.shares);
      print(row_of(file, channel.empty() ? object : channel + object.substr(1)));
    } catch (const phonemo::Error& error) {
      if (error.code() == "LabelError") throw;  // of the options, not of a file
      print(error_row(file, error));
      status = 1;
    }
  }
  return status;
}

int run_stream(const phonemo::Recognizer& recognizer, const Arguments& all) {
  phonemo::Stream stream(recognizer, all.stream_rate, {all.predict.shares, all.adapt});
  std::vector<unsigned char> bytes(8192);
  std::vector<float> samples;
  std::size_t held = 0;
  const auto emit = [](const std::vector<phonemo::Event>& events) {
    for (const phonemo::Event& event : events) print(event.to_json());
    std::fflush(stdout);
  };
  while (const std::size_t count = std::fread(bytes.data() + held, 1, bytes.size() - held, stdin)) {
    const std::size_t total = held + count;
    samples.clear();
    for (std::size_t at = 0; at + 1 < total; at += 2) {
      const auto value = static_cast<std::int16_t>(bytes[at] | bytes[at + 1] << 8);
      samples.push_back(static_cast<float>(value) / 32768.0F);
    }
    held = total % 2;
    if (held == 1) bytes[0] = bytes[total - 1];
    emit(stream.push(samples.data(), samples.size()));
  }
  const auto [events, prediction] = stream.finish();
  emit(events);
  print("{\"type\": \"final\", \"prediction\": " + narrowed(prediction, all).to_json(true) + "}");
  return 0;
}

int run(const std::vector<std::string>& words) {
  const Arguments all = parse(words);
  if (all.is_done) return 0;
  check(all);
  phonemo::Recognizer recognizer = phonemo::Recognizer::load(all.model, all.load);
  if (!all.profile.empty()) recognizer = recognizer.with_profile(all.profile);
  if (all.decoding) recognizer = recognizer.with_decoding(*all.decoding);
  return all.stream_rate > 0 ? run_stream(recognizer, all) : run_files(recognizer, all);
}

}  // namespace

int main(int count, char** words) {
  int status = 1;
  try {
    status = run(std::vector<std::string>(words + 1, words + count));
  } catch (const phonemo::Error& error) {
    std::fprintf(stderr, "phonemo-cpp: %s\n", error.what());
    status = error.exit_code();
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "phonemo-cpp: out of memory; free some, or split the recording\n");
  }
  const bool is_written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (!is_written && status == 0) {
    std::fprintf(stderr, "phonemo-cpp: standard output cannot be written; free space\n");
    status = 1;
  }
  return status;
}
