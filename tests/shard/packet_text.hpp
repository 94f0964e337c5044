// A packet of the small world in one line, for whoever reads a schedule that failed.
#pragma once

#include <string>

#include "small_world.hpp"

namespace shoal::shard::test {

std::string text_of(const Packet& packet);
std::string text_of(const wire::ShardConfig& config);

}  // namespace shoal::shard::test
