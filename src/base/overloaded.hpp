// A visitor made of several functions, one for each alternative (std::visit).
#pragma once

namespace shoal {

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};

}  // namespace shoal
