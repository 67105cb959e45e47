#include "../phonemo.h"
#include "text.h"

namespace phonemo {

Error::Error(std::string code, const std::string& message)
    : std::runtime_error(one_line(message)), code_(std::move(code)) {}

int Error::exit_code() const { return code_ == "UsageError" || code_ == "LabelError" ? 2 : 1; }

}  // namespace phonemo
