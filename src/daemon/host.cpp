#include "daemon/host.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstdio>

#include "base/assert.hpp"

namespace shoal::daemon {

Now read_clocks() {
  timespec time{};
  SHOAL_ASSERT(::clock_gettime(CLOCK_BOOTTIME, &time) == 0);
  const Duration since_boot =
      std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  return {.steady = TimePoint(since_boot),
          .wall = std::chrono::floor<WallTime::duration>(std::chrono::system_clock::now())};
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  SHOAL_ASSERT(::getrandom(&seed, sizeof seed, 0) == static_cast<ssize_t>(sizeof seed));
  return seed;
}

bool is_process_one() { return ::getpid() == 1; }

void collect_ended_children() {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

std::uint64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long pages = 0;
  unsigned long resident = 0;
  const int fields = std::fscanf(file, "%lu %lu", &pages, &resident);
  std::fclose(file);
  return fields == 2 ? resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

std::size_t descriptors_max() {
  rlimit limit{};
  SHOAL_ASSERT(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  return static_cast<std::size_t>(limit.rlim_cur);
}

void raise_descriptors_max() {
  rlimit limit{};
  SHOAL_ASSERT(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::vector<Address> machine_addresses(std::uint16_t port) {
  std::vector<Address> addresses;
  ifaddrs* interfaces = nullptr;
  if (::getifaddrs(&interfaces) == 0) {
    for (const ifaddrs* each = interfaces; each != nullptr; each = each->ifa_next) {
      if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET) continue;
      if ((each->ifa_flags & IFF_LOOPBACK) != 0 || (each->ifa_flags & IFF_UP) == 0) continue;
      const auto* socket_address = reinterpret_cast<const sockaddr_in*>(each->ifa_addr);
      const auto bytes =
          std::bit_cast<std::array<std::uint8_t, 4>>(socket_address->sin_addr.s_addr);
      addresses.push_back(ipv4(bytes[0], bytes[1], bytes[2], bytes[3], port));
    }
    ::freeifaddrs(interfaces);
  }
  addresses.push_back(ipv4(127, 0, 0, 1, port));
  return addresses;
}

}  // namespace shoal::daemon
