// Operating errors are returned values. An Error says what happened, why, and what to do next, in
// words that can be shown to a user as they stand.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace shoal {

enum class ErrorCode : std::uint8_t {
  bad_input = 1,    // Malformed or out of bounds: the caller must change it.
  not_found = 2,    // No such job, task, node ("not so far").
  conflict = 3,     // Exists already with other content; already finished; id taken.
  unavailable = 4,  // Nobody could answer now; a retry with the same ids is harmless.
  refused = 5,      // Not allowed here: wrong cluster, folder in use.
  overload = 6,     // A stated limit was reached; retry later.
  io = 7,           // Disk, socket or process error from the operating system.
  expired = 8,      // Past its retention.
  timeout = 9,      // The caller's own deadline passed; the work goes on.
  internal = 10,    // A bug.
};

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;
  bool operator==(const Error&) const = default;
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected(Error{code, std::move(message)});
}

}  // namespace shoal
