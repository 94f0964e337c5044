// Private to wire/*.cpp and the generated schema code, before any header of Cap'n Proto. Version
// 0.9 compares `const char*` with kj::StringPtr in that order, which clang in C++20 and later finds
// no operator for: it wants the two below.
#pragma once

#include <kj/string.h>

namespace kj {

inline bool operator==(const char* a, const StringPtr& b) { return b == StringPtr(a); }
inline bool operator!=(const char* a, const StringPtr& b) { return !(b == StringPtr(a)); }

}  // namespace kj
