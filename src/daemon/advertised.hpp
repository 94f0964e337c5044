// The address that a node tells others of itself.
//
// Configured, or the one it listens on, or, when it listens on all, one of the machine's: at first
// the one that a stream to a peer has here, or the first of the machine if there is nobody to join.
// Of these it keeps the one it has while the machine has it; a container that is given another
// address tells that instead. It is the same node: identity is the key, the address an attribute.
#pragma once

#include <optional>
#include <span>

#include "base/address.hpp"

namespace shoal::daemon {

class Advertised {
 public:
  // `listening` as bound. `joins`: a stream to a peer will tell; until then nothing is known.
  Advertised(std::optional<Address> configured, const Address& listening, bool joins,
             std::span<const Address> machine);

  const Address& address() const { return address_; }

  // The near end of a stream with a peer. True: address() is another.
  bool on_stream(const Address& near);
  // What machine_addresses() says by now. True: address() is another.
  bool on_machine(std::span<const Address> machine);

 private:
  Address address_;
  bool follows_ = false;  // It is one of the machine's, and changes with them.
};

}  // namespace shoal::daemon
