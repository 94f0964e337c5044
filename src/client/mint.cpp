#include "client/mint.hpp"

#include <sys/random.h>

#include <cerrno>
#include <chrono>

#include "base/assert.hpp"

namespace shoal::client {

std::uint64_t random64() {
  std::uint64_t value = 0;
  ssize_t got = 0;
  do {
    got = getrandom(&value, sizeof value, 0);
  } while (got < 0 && errno == EINTR);
  SHOAL_ASSERT(got == sizeof value);  // The kernel gives up to 256 bytes whole.
  return value;
}

JobId mint_job(Retention retention) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return JobId::mint(now, retention, random64());
}

Nonce mint_nonce() { return {.high = random64(), .low = random64()}; }

}  // namespace shoal::client
