// Ids that no other client mints: from the kernel's random source.
#pragma once

#include "shoal/id.hpp"
#include "shoal/job.hpp"

namespace shoal::client {

std::uint64_t random64();
JobId mint_job(Retention retention);
Nonce mint_nonce();

}  // namespace shoal::client
