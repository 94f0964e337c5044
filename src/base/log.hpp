// Logging: one line each, ids first, no state dumps. Levels: `error` = a bug or data loss (fails a
// simulation); `warn` = an operator should look; `info` = a change of state; `debug` = per message.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/format.hpp"

namespace shoal::log {

enum class Level : std::uint8_t { debug, info, warn, error, off };

// What is below `level` is dropped before it is formatted. Default: info.
void set_level(Level level);
bool enabled(Level level);

// Takes every line instead of stderr: simulator and tests. An empty sink restores stderr.
using Sink = std::function<void(Level, std::string_view module, std::string_view line)>;
void set_sink(Sink sink);

void write(Level level, std::string_view module, std::string_view line);

template <class... Args>
void debug(std::string_view module, FormatString<Args...> format, Args&&... args) {
  if (enabled(Level::debug)) {
    write(Level::debug, module, shoal::format(format, std::forward<Args>(args)...));
  }
}
template <class... Args>
void info(std::string_view module, FormatString<Args...> format, Args&&... args) {
  if (enabled(Level::info)) {
    write(Level::info, module, shoal::format(format, std::forward<Args>(args)...));
  }
}
template <class... Args>
void warn(std::string_view module, FormatString<Args...> format, Args&&... args) {
  if (enabled(Level::warn)) {
    write(Level::warn, module, shoal::format(format, std::forward<Args>(args)...));
  }
}
template <class... Args>
void error(std::string_view module, FormatString<Args...> format, Args&&... args) {
  if (enabled(Level::error)) {
    write(Level::error, module, shoal::format(format, std::forward<Args>(args)...));
  }
}

}  // namespace shoal::log
