// Assertions are for bugs and always on. Input from a peer, a disk or a user never reaches one.
#pragma once

namespace shoal {

// Prints the failed condition with its place to stderr and aborts.
[[noreturn]] void assert_failed(const char* condition, const char* file, int line);

}  // namespace shoal

#define SHOAL_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::shoal::assert_failed(#condition, __FILE__, __LINE__))
