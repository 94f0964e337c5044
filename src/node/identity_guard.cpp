#include "node/identity_guard.hpp"

namespace shoal::node {

void IdentityGuard::restore(std::string_view, std::string_view) {}
void IdentityGuard::start(Now) {}
void IdentityGuard::on_member(Now, const membership::Event&) {}
void IdentityGuard::on_message(Now, NodeId, const wire::StoreQuery&) {}
void IdentityGuard::on_message(Now, NodeId, const wire::StoreAnswer&) {}
void IdentityGuard::on_message(Now, NodeId, const wire::SameKey&) {}
void IdentityGuard::on_time(Now) {}
TimePoint IdentityGuard::wake_at() const {
  static_cast<void>(context_);
  return kNever;
}

}  // namespace shoal::node
