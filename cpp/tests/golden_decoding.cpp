// Language models, and phonemes decoded with and without them.

#include "../phonemo.h"
#include "alignment.h"
#include "beam_search.h"
#include "checks.h"
#include "decoder.h"
#include "language_model.h"
#include "library.h"
#include "network.h"

namespace golden {
namespace {

constexpr double kProbability = 1e-6;

std::string decoded_base64(const std::string& text) {
  static const std::string kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned held = 0;
  int bits = 0;
  for (const char letter : text) {
    const std::size_t value = kLetters.find(letter);
    if (value == kLetters.npos) break;  // the padding
    held = (held << 6 | static_cast<unsigned>(value)) & 0xFFFF;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(held >> bits & 0xFF);
  }
  return bytes;
}

void check_rows(Checks& checks, const phonemo::PhonemeModel& model, const Json& expected, const std::string& place) {
  for (const auto& [context, row] : expected.members) {
    const std::vector<float> found = model.log_probabilities(std::stoul(context));
    checks.near(Row(found.begin(), found.end()), row, kProbability, place + " " + context);
  }
}

void check_case(Checks& checks, const Json& given) {
  const std::vector<std::string> symbols = texts_of(at(given, "symbols"));
  const std::vector<std::string> others = texts_of(at(given, "other_symbols"));
  const phonemo::Posteriors posteriors = rows_of(at(given, "log_posteriors"));
  const phonemo::Posteriors shuffled = rows_of(at(given, "other_log_posteriors"));
  const Json& content = at(given, "content");
  const auto own = phonemo::unpacked_model(decoded_base64(at(given, "packed").text), symbols.size());
  const auto named = phonemo::model_of_content(content, symbols, "golden");
  const auto other = phonemo::model_of_content(content, others, "golden");
  check_rows(checks, own, at(given, "contexts"), "context");
  check_rows(checks, named, at(given, "contexts"), "context of the content");
  const auto uniform = phonemo::uniform_model(symbols.size());
  check_aligned(checks, phonemo::decode_with(posteriors, uniform), at(given, "without"));
  check_aligned(checks, phonemo::decode_with(posteriors, own), at(given, "with"));
  check_aligned(checks, phonemo::decode_with(posteriors, named), at(given, "with"));
  check_aligned(checks, phonemo::decode_with(shuffled, other), at(given, "other"));
}

void check_refused(Checks& checks, const Json& given) {
  std::string message = "no error";
  try {
    phonemo::model_of_content(at(given, "content"), texts_of(at(given, "symbols")), "golden");
  } catch (const phonemo::Error& error) {
    message = error.what();
    checks.same(error.code(), "UsageError", "refused content");
  }
  checks.same(message, at(given, "message").text, "refused content");
}

void check_bundle(Checks& checks, const Json& given) {
  const phonemo::Library& library = phonemo::Library::get("");
  const phonemo::Network network(phonemo::open_bundle(checks.folder() + "/../tiny-bundle"), library, 1);
  const std::vector<std::string>& symbols = network.card().symbols;
  const auto own = phonemo::unpacked_model(decoded_base64(at(given, "packed").text), symbols.size());
  const phonemo::PhonemeDecoder decoder(std::make_shared<phonemo::PhonemeModel>(own));
  const phonemo::Posteriors posteriors = network.recognize(signal(checks, "three_seconds"), nullptr, false).posteriors;
  std::string found, expected;
  for (const auto& phoneme : decoder.decode(posteriors)) found += symbols[phoneme.symbol] + " ";
  for (const Json& phoneme : at(given, "phonemes").items) expected += phoneme.text + " ";
  checks.same(found, expected, "phonemes of tiny-bundle");
}

void check_broken(Checks& checks, const std::string& content, std::size_t symbols, const std::string& expected) {
  std::string message = "no error";
  try {
    phonemo::unpacked_model(content, symbols);
  } catch (const phonemo::Error& error) {
    message = error.what();
  }
  checks.same(message, "phonemes.npz: expected " + expected + "; export the model again", "refused phonemes.npz");
}

}  // namespace

void check_decoding(Checks& checks) {
  const Json all = checks.read("decoding");
  for (const Json& given : at(all, "cases").items) check_case(checks, given);
  for (const Json& given : at(all, "invalid").items) check_refused(checks, given);
  check_bundle(checks, at(all, "bundle"));
  const std::string packed = decoded_base64(at(at(all, "cases").items[0], "packed").text);
  check_broken(checks, packed, 7, "7 symbols as in the card, got 6");
  for (const std::string& content : {std::string(), packed.substr(1), packed.substr(0, packed.size() / 2)}) {
    check_broken(checks, content, 6, "n-gram counts of phonemes");
  }
}

}  // namespace golden
