// Which build of the program this is: two builds are the same only if these texts are equal.
#pragma once

#include <string>

namespace shoal::exec {

// The linker's hash of the program, in hexadecimal; the version where there is none. The variable
// SHOAL_TEST_BUILD replaces it, so that tests can show an upgrade with one program.
const std::string& build_id();

}  // namespace shoal::exec
