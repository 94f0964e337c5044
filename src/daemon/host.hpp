// What the driver asks of the machine it runs on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"

namespace shoal::daemon {

Now read_clocks();  // CLOCK_BOOTTIME and the wall clock.
// File descriptors that this process may have open.
std::size_t descriptors_max();
void raise_descriptors_max();  // As far as the system lets it.

// Process 1 of a container: nothing outlives it, and orphans become its children.
bool is_process_one();
void collect_ended_children();  // Of all those that have ended.

std::uint64_t random_seed();     // From the kernel.
std::uint64_t resident_bytes();  // Of this process; 0 when the system does not say.

// IPv4 addresses of the interfaces that are up, the loopback's last, all with this port.
std::vector<Address> machine_addresses(std::uint16_t port);

}  // namespace shoal::daemon
