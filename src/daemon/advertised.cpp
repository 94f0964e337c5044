#include "daemon/advertised.hpp"

#include <algorithm>

namespace shoal::daemon {
namespace {

bool loopback(const Address& address) {
  const Address v4 = ipv4(127, 0, 0, 1, 0);
  return std::ranges::equal(std::span(address.ip).first(13), std::span(v4.ip).first(13));
}

bool is_v4(const Address& address) {
  const Address v4 = ipv4(0, 0, 0, 0, 0);
  return std::ranges::equal(std::span(address.ip).first(12), std::span(v4.ip).first(12));
}

}  // namespace

Advertised::Advertised(std::optional<Address> configured, const Address& listening, bool joins,
                       std::span<const Address> machine) {
  if (configured) {
    address_ = *configured;
    if (address_.port == 0) address_.port = listening.port;
  } else if (!listening.unspecified()) {
    address_ = listening;
  } else {
    follows_ = true;
    if (!joins) address_ = machine.front();
  }
}

bool Advertised::on_stream(const Address& near) {
  if (address_) return false;
  address_ = near;
  return true;
}

bool Advertised::on_machine(std::span<const Address> machine) {
  if (!follows_ || !address_ || loopback(address_) || !is_v4(address_)) return false;
  if (std::ranges::find(machine, address_) != machine.end()) return false;
  const auto other = std::ranges::find_if_not(machine, loopback);
  if (other == machine.end()) return false;  // Cut off: nobody can be told anyway.
  address_ = *other;
  return true;
}

}  // namespace shoal::daemon
