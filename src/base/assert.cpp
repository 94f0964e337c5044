#include "base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace shoal {

void assert_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "shoal: bug: %s does not hold (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace shoal
