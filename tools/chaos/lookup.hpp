// Targets that only the running cluster can name: who owns a job, who is busiest.
#pragma once

#include <optional>

#include "shoal/client.hpp"
#include "tools/chaos/target.hpp"

namespace shoal::chaos {

// `load` is what owner(load) means. REQUIRES: looked_up(target).
asio::awaitable<Result<std::vector<std::string>>> look_up(Client& client, Target target,
                                                          std::optional<JobId> load,
                                                          std::vector<std::string> nodes);

}  // namespace shoal::chaos
