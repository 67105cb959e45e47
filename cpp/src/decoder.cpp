#include "decoder.h"

#include "beam_search.h"
#include "text.h"

namespace phonemo {
namespace {

constexpr const char *kBestPath = "best-path", *kBeamSearch = "beam-search", *kLanguageModel = "language-model";

bool is_file(const std::string& decoding) {
  static const std::string kEnd = ".json";
  return decoding.size() >= kEnd.size() && decoding.compare(decoding.size() - kEnd.size(), kEnd.size(), kEnd) == 0;
}

void check_name(const std::string& decoding) {
  if (decoding == kBestPath || decoding == kBeamSearch || decoding == kLanguageModel || is_file(decoding)) return;
  throw Error("UsageError", "decoding: expected best-path, beam-search, language-model or the path of a language's "
                            "file (.json), got '" + safe_name(decoding) + "'; choose one");
}

}  // namespace

PhonemeDecoder PhonemeDecoder::chosen(const std::string& decoding, const std::vector<std::string>& symbols) const {
  check_name(decoding);
  if (decoding == kLanguageModel && !own_) {
    throw Error("UsageError", "expected a bundle with a phoneme language model, got one without; export it with "
                              "--decoder, or choose another decoding");
  }
  if (decoding != kBestPath && symbols.empty()) {
    throw Error("UsageError", "decoding: " + safe_name(decoding) + " needs phonemes, and this model has none; open "
                              "another one");
  }
  PhonemeDecoder other = *this;
  other.searched_ = searched_for(decoding, symbols);
  return other;
}

std::shared_ptr<const PhonemeModel> PhonemeDecoder::searched_for(const std::string& decoding,
                                                                 const std::vector<std::string>& symbols) const {
  if (decoding == kBestPath) return nullptr;
  if (decoding == kLanguageModel) return own_;
  if (decoding == kBeamSearch) return std::make_shared<PhonemeModel>(uniform_model(symbols.size()));
  return std::make_shared<PhonemeModel>(read_language(decoding, symbols));
}

std::vector<AlignedPhoneme> PhonemeDecoder::decode(const Posteriors& posteriors) const {
  return searched_ ? decode_with(posteriors, *searched_) : decode_phonemes(posteriors);
}

}  // namespace phonemo
