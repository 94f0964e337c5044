// Text formatting. libstdc++ 12 has no <format>; fmt is the library it was made from.
#pragma once

#include <fmt/core.h>

namespace shoal {

using fmt::format;
template <class... Args>
using FormatString = fmt::format_string<Args...>;

}  // namespace shoal
