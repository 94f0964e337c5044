#include "cli/halt.hpp"

#include <charconv>

#include "base/format.hpp"

namespace shoal::cli {

bool HaltPolicy::reached(std::uint32_t failed, std::uint32_t total) const {
  if (failed == 0) return false;
  if (failures > 0 && failed >= failures) return true;
  return percent > 0 && std::uint64_t{failed} * 100 >= std::uint64_t{percent} * total;
}

Result<HaltPolicy> parse_halt(std::string_view text) {
  if (text.empty() || text == "never") return HaltPolicy{};
  const auto wrong =
      fail(ErrorCode::bad_input,
           format("--halt \"{}\": write never, now,fail=N, now,fail=N%, soon,fail=N or "
                  "soon,fail=N%",
                  text));
  HaltPolicy policy;
  std::string_view rest = text;
  if (rest.starts_with("now,")) {
    policy.now = true;
    rest.remove_prefix(4);
  } else if (rest.starts_with("soon,")) {
    rest.remove_prefix(5);
  } else {
    return wrong;
  }
  if (!rest.starts_with("fail=")) return wrong;
  rest.remove_prefix(5);
  std::uint32_t number = 0;
  const char* end = rest.data() + rest.size();
  const auto parsed = std::from_chars(rest.data(), end, number);
  if (parsed.ec != std::errc{} || number == 0) return wrong;
  if (parsed.ptr == end) {
    policy.failures = number;
    return policy;
  }
  if (*parsed.ptr != '%' || parsed.ptr + 1 != end || number > 100) return wrong;
  policy.percent = number;
  return policy;
}

}  // namespace shoal::cli
